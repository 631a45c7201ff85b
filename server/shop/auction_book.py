"""What an auction is announced with, what is asked of it, and the lines of its book."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """What was announced. `reserve_minor` 0: none. `extension_ms` 0: sudden death."""

    start_minor: int
    increment_minor: int
    duration_ms: int
    extension_ms: int = 10_000
    max_extension_ms: int = 300_000
    latency_window_ms: int = 1_500
    misbid_ms: int = 10_000
    reserve_minor: int = 0


class Line(msgspec.Struct, frozen=True):
    """A line of the book: a bid, or, with `takes_back`, a misbid taken back. `amount_minor` is what the bid
    stood at when it was placed: the price it made, or its own maximum where it was outbid at once."""

    n: int
    user_id: str
    command_id: str
    max_minor: int
    amount_minor: int
    received_ms: int
    media_time: int | None = None
    takes_back: int | None = None


@dataclass(frozen=True, slots=True)
class Bid:
    """A wish to bid. `media_time`: RTP time (90 kHz, mod 2^32) of the picture that the bidder saw."""

    user_id: str
    command_id: str
    max_minor: int
    received_ms: int
    media_time: int | None = None


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A wish to take one's latest bid back."""

    user_id: str
    command_id: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class Written:
    """A new line for the book."""

    line: Line


@dataclass(frozen=True, slots=True)
class Repeated:
    """The command is in the book already."""

    line: Line


@dataclass(frozen=True, slots=True)
class Refused:
    code: str  # bid_too_low, auction_closed, misbid_over
    least_minor: int = 0


Answer = Written | Repeated | Refused
