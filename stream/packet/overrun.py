"""Whether a node's sender keeps up, judged from the frames it had to drop. Pure: counts and `now` in.

A node that is behind for longer than a stumble would serve one more viewer at the cost of all it has: it
should send whoever comes elsewhere until it has caught up.
"""

from __future__ import annotations

STUMBLE_S = 1.5
"""Drops over less than this are a hiccup: a pause of the machine, a crowd that came at once."""
CALM_S = 3.0
"""Without drops for this long it keeps up again."""


class Overrun:
    def __init__(self) -> None:
        self._dropped = 0
        self._since = self._last = float("-inf")

    def note(self, dropped: int, now: float) -> None:
        """Every half second or so: frames dropped in all, because their turn came too late."""
        if dropped > self._dropped:
            if now - self._last > CALM_S:
                self._since = now
            self._last = now
        self._dropped = dropped

    def holds(self, now: float) -> bool:
        return self._last - self._since >= STUMBLE_S and now - self._last < CALM_S
