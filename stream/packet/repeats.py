"""What one viewer is sent again: how much of it, and how often each packet.

A packet that is asked for again after there was time for it to come has been lost twice, or the request was.
From then on it leaves twice: on a path that loses every twentieth packet, most long stands of the picture are
packets that were lost, sent again and lost again. What is asked for before it can have come is on its way.
"""

from __future__ import annotations

from collections import OrderedDict

RATE = 400.0
BURST = 400.0
"""Packets a viewer may ask for again, a second and at once."""
COPIES = 2
ON_ITS_WAY = 0.7
"""Of the round trip: asked for sooner, a packet is not sent once more."""
REMEMBERED = 512
FORGOTTEN_S = 3.0
"""Packets asked for; the oldest are forgotten first, and all before their numbers come again."""


class Repeats:
    """`count` for each packet asked for."""

    def __init__(self, now: float) -> None:
        self._room = BURST
        self._at = now
        self._sent: OrderedDict[int, float] = OrderedDict()

    def count(self, seq: int, now: float, round_trip_s: float) -> int:
        """How many times `seq`, of 16 bits, should leave now; 0 when it is on its way, or too much was asked.

        `round_trip_s` is 0 where it is not known.
        """
        self._room = min(BURST, self._room + (now - self._at) * RATE)
        self._at = now
        before = self._sent.get(seq)
        if before is not None and now - before > FORGOTTEN_S:
            before = None
        if before is not None and now - before < ON_ITS_WAY * round_trip_s:
            return 0
        copies = min(1 if before is None else COPIES, int(self._room))
        if copies:
            self._room -= copies
            self._remember(seq, now)
        return copies

    def _remember(self, seq: int, now: float) -> None:
        self._sent[seq] = now
        self._sent.move_to_end(seq)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
