"""A token bucket over a clock that the caller reads: no clock and no waiting in here."""

from dataclasses import dataclass, field


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

    def wait_s(self, now_s: float) -> float:
        """How long a request arriving now would have to wait."""
        return max(0.0, self._next_s - now_s)
