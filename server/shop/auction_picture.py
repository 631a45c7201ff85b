"""When a picture was taken, by the clock that bids are received by.

Theory. A bid tells the picture's time (RTP, 90 kHz, mod 2^32) that its bidder saw, and is received at a time
of ours. Nobody can answer a picture before it was taken, so of all bids the one with the shortest delay knows
best: a picture was taken no later than its time plus that delay. By this estimate everybody is at least as
early as they were for the fastest bidder, and a wrong picture's time can win no more than the latency window.
"""

from __future__ import annotations

from dataclasses import dataclass

_CIRCLE = 2**32
_TICKS_A_MS = 90


@dataclass(frozen=True, slots=True)
class PictureClock:
    """`delay_ticks`: the shortest delay that a bid has shown, mod 2^32; None: no bid told its picture."""

    delay_ticks: int | None = None

    def seen(self, media_time: int | None, received_ms: int) -> PictureClock:
        """The clock after one more bid."""
        if media_time is None:
            return self
        delay = (received_ms * _TICKS_A_MS - media_time) % _CIRCLE
        if self.delay_ticks is None or _signed(delay - self.delay_ticks) < 0:
            return PictureClock(delay)
        return self

    def was_before(self, media_time: int | None, at_ms: int) -> bool:
        """Whether a picture was taken at `at_ms` or before; False where that can't be known."""
        if media_time is None or self.delay_ticks is None:
            return False
        return _signed(media_time - (at_ms * _TICKS_A_MS - self.delay_ticks)) <= 0


def _signed(ticks: int) -> int:
    """A difference of RTP times: of the two ways round the circle the shorter."""
    return (ticks + _CIRCLE // 2) % _CIRCLE - _CIRCLE // 2
