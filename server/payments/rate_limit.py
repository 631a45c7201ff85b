"""Turns to ask the provider. The bucket goes by a clock that its caller reads: no clock, no waiting in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Turns(Protocol):
    """Who may ask the provider when."""

    async def take(self) -> float | None:
        """Book a turn: the seconds until it, or None where the line is full and nothing was booked."""
        ...

    def wait_s(self) -> float:
        """How long one who was turned away does well to wait, in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the provider allows: `per_s` requests a second, `burst` at once, at most `max_wait_s` in line.

    Stripe: 100/s in live mode, 25/s in test mode. A request that would wait longer than `max_wait_s` is
    turned away at once, so the line is bounded by `per_s * max_wait_s`.
    """

    per_s: float
    burst: int = 1
    max_wait_s: float = 2.0


@dataclass(slots=True)
class TokenBucket:
    """Hands out turns. `take(now)` gives the wait in seconds, or None when the line is full."""

    limit: RateLimit
    _next_s: float = field(default=float("-inf"))

    def take(self, now_s: float) -> float | None:
        """Book a turn. Returns the seconds to wait before sending, or None: turned away, nothing booked."""
        gap_s = 1 / self.limit.per_s
        earliest_s = max(self._next_s, now_s - gap_s * (self.limit.burst - 1))
        wait_s = max(0.0, earliest_s - now_s)
        if wait_s > self.limit.max_wait_s:
            return None
        self._next_s = earliest_s + gap_s
        return wait_s
