"""What the media relay needs from above, as small protocols that the composition root fills."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Protocol

BroadcastId = NewType("BroadcastId", str)
PeerId = NewType("PeerId", str)


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


class Admission(Protocol):
    async def redeem(self, ticket: str) -> Grant | None:
        """The grant behind a single-use ticket, or None when it is unknown, spent or expired."""
        ...


class BroadcastState(StrEnum):
    IDLE = "idle"  # nobody has published since the last end
    LIVE = "live"  # packets arrive
    AWAY = "away"  # the publisher is gone or silent; its viewers are kept


class Observer(Protocol):
    """Told, never asked: calls return at once and must not raise."""

    def broadcast_changed(self, broadcast: BroadcastId, state: BroadcastState, viewers: int) -> None: ...

    def node_beat(self, broadcasts: dict[BroadcastId, tuple[BroadcastState, int]]) -> None:
        """Every few seconds: what this node carries, and for how many viewers."""
        ...
