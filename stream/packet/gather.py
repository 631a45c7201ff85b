"""Packets into frames: what goes to the fan-out in one call.

A frame can't be decoded before its last packet, so waiting for the marker costs no time. A frame that takes
longer on its way in (a paced keyframe) leaves in pieces, `HOLD_S` apart.
"""

from __future__ import annotations

from bisect import insort

from .source import Carried

HOLD_S = 0.006
MAX_PACKETS = 48


class Gather:
    """Holds one frame's packets, or a piece of it."""

    def __init__(self) -> None:
        self.held: list[Carried] = []

    def starts_another(self, carried: Carried) -> bool:
        """What is held must leave first: it belongs to another frame."""
        return bool(self.held) and carried.timestamp != self.held[0].timestamp

    def fits(self, late: Carried, newest: int) -> bool:
        """An overtaken packet belongs to the frame that is held, after `newest`, the last that left."""
        return not self.starts_another(late) and bool(self.held) and late.seq > newest

    def add(self, carried: Carried) -> bool:
        """True when what is held should leave now."""
        insort(self.held, carried)
        return self.held[-1].marker or len(self.held) >= MAX_PACKETS

    def take(self) -> list[Carried]:
        held, self.held = self.held, []
        return held
