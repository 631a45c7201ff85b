"""What a viewer's path can carry, judged from what its player reports: REMB and loss.

A REMB can't tell how much more would pass: receivers allow at most half as much again as they get. So it is
heard as a warning when it falls below what is sent, and to find out whether more would pass, more is tried
(`layers`). Loss that retransmission mends with ease is no reason to lower the picture.
"""

from __future__ import annotations

from enum import Enum

LOSS_TIGHT = 0.10
LOSS_BROKEN = 0.20
REMB_TIGHT = 0.7
REMB_BROKEN = 0.5
"""Of what is sent. A REMB that hovers just below the sent rate is the ordinary case."""
LOSS_CLEAR = 0.02
STALE_S = 5.0
WARM_UP_S = 3.0
"""An estimate begins far too low and needs this long to find the rate that already passes."""


class Path(Enum):
    CLEAR = "clear"
    FAIR = "fair"
    TIGHT = "tight"
    BROKEN = "broken"  # even sound is in danger


class Bandwidth:
    """Of one viewer. `restarted` when what it is sent has changed."""

    def __init__(self, now: float) -> None:
        self.remb_bits_per_s = 0
        self.fraction_lost = 0.0
        self._remb_at = self._loss_at = float("-inf")
        self._since = now

    def restarted(self, now: float) -> None:
        self._since = now

    def heard_remb(self, bits_per_s: int, now: float) -> None:
        self.remb_bits_per_s, self._remb_at = bits_per_s, now

    def heard_loss(self, fraction: float, now: float) -> None:
        self.fraction_lost, self._loss_at = fraction, now

    @property
    def loses_much(self) -> bool:
        """Without this no path is broken."""
        return self.fraction_lost >= LOSS_BROKEN

    def judge(self, sent_bits_per_s: float, now: float) -> Path:
        """FAIR also where nothing recent was heard: no news is no reason to change anything."""
        has_loss = now - self._loss_at < STALE_S
        has_remb = now - self._remb_at < STALE_S and now - self._since >= WARM_UP_S
        lost = self.fraction_lost if has_loss else 0.0
        passes = self.remb_bits_per_s / sent_bits_per_s if has_remb and sent_bits_per_s else 1.0
        if lost >= LOSS_BROKEN and passes < REMB_BROKEN:
            return Path.BROKEN
        if lost >= LOSS_TIGHT or passes < REMB_TIGHT:
            return Path.TIGHT
        if has_loss and lost <= LOSS_CLEAR and passes >= 1.0:
            return Path.CLEAR
        return Path.FAIR
