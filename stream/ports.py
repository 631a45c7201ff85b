"""What the media relay needs from above, as small protocols that the composition root fills."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Protocol

BroadcastId = NewType("BroadcastId", str)


class Purpose(StrEnum):
    PUBLISH = "publish"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a redeemed ticket allows, once.

    `credential` names the secret behind the ticket without being it: a publisher that comes back with the
    same credential takes its session over, another one gets 409. `bearer_sha256` is the SHA-256 of the
    bearer token that later requests on the session (PATCH, DELETE) must carry; None where the unguessable
    session URL is the only capability (a viewer of a public show).
    """

    broadcast: BroadcastId
    purpose: Purpose
    credential: str
    bearer_sha256: bytes | None = None
    is_edge: bool = False
    """Another node pulls for viewers of its own: it is sent one layer whole, and counts as no viewer."""


class PublishedElsewhere(Exception):
    """Somebody with another credential publishes this broadcast on another node."""


class Admission(Protocol):
    async def redeem(self, ticket: str) -> Grant | None:
        """The grant behind a single-use ticket, or None when it is unknown, spent or expired.

        PublishedElsewhere for a publisher's that would be the broadcast's second.
        """
        ...


class BroadcastState(StrEnum):
    IDLE = "idle"  # nobody has published since the last end
    LIVE = "live"  # packets arrive
    AWAY = "away"  # the publisher is gone or silent; its viewers are kept


@dataclass(frozen=True, slots=True)
class Carried:
    """One broadcast on one node. `is_origin`: its host publishes here, or did last; else it is pulled."""

    state: BroadcastState
    viewers: int
    is_origin: bool


class Observer(Protocol):
    """Told, never asked: calls return at once and must not raise."""

    def broadcast_changed(self, broadcast: BroadcastId, carried: Carried) -> None: ...

    def node_beat(self, broadcasts: dict[BroadcastId, Carried]) -> None:
        """Every second: what this node carries, and for how many viewers."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """The node that a host publishes to. `boot` differs after each start of that node; `url` is where other
    nodes reach its HTTP."""

    node: str
    boot: str
    url: str
    is_live: bool


class Origins(Protocol):
    """Where a node that is asked for a broadcast it doesn't carry may pull it from."""

    async def origin_of(self, broadcast: BroadcastId) -> Origin | None:
        """Never this node itself. Errors count as None."""
        ...

    async def ticket(self, broadcast: BroadcastId) -> str:
        """For one WHEP session of ours at the origin, redeemed there as a grant with `is_edge`."""
        ...
