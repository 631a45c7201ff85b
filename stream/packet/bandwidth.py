"""What a viewer's path can carry, judged from what its player reports: REMB and loss.

A REMB can't tell how much more would pass: receivers allow at most half as much again as they get, and climb
from there by 8 % a second. So one that rises says nothing against what is sent, however low it still is; one
that fell, and stays, below what is sent is a warning. To find out whether more would pass, more is tried
(`layers`). Loss that retransmission mends with ease is no reason to lower the picture.
"""

from __future__ import annotations

from enum import Enum

LOSS_TIGHT = 0.10
LOSS_BROKEN = 0.20
LOSS_HOPELESS = 0.35
"""Sound can't be understood, whatever the estimate says: behind a full queue it rises again."""
LOSS_CONGESTED = 0.05
"""With an estimate that fell below what is sent this is no radio's loss."""
REMB_TIGHT = 0.7
"""Of what is sent. A REMB that hovers just below the sent rate is the ordinary case."""
LOSS_CLEAR = 0.02
STALE_S = 5.0
WARM_UP_S = 3.0
"""An estimate begins far too low and needs this long to find the rate that already passes."""
SETTLE_S = 1.2
"""A player reports each second: the first report after a change is still of what was sent before."""


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
        self.passed = 1.0
        """Of what is sent, as last judged."""
        self._rises = True
        self._remb_at = self._loss_at = float("-inf")
        self._since = now

    def restarted(self, now: float) -> None:
        self._since = now

    def heard_remb(self, bits_per_s: int, now: float) -> None:
        if bits_per_s != self.remb_bits_per_s:
            self._rises = bits_per_s > self.remb_bits_per_s
        self.remb_bits_per_s, self._remb_at = bits_per_s, now

    def heard_loss(self, fraction: float, now: float) -> None:
        self.fraction_lost, self._loss_at = fraction, now

    @property
    def loses_much(self) -> bool:
        """Without this no path is broken."""
        return self.fraction_lost >= LOSS_BROKEN

    def judge(self, sent_bits_per_s: float, now: float) -> Path:
        """FAIR also where nothing recent was heard: no news is no reason to change anything."""
        has_loss = now - self._loss_at < STALE_S and self._loss_at - self._since >= SETTLE_S
        has_remb = now - self._remb_at < STALE_S and now - self._since >= WARM_UP_S
        lost = self.fraction_lost if has_loss else 0.0
        passes = self.remb_bits_per_s / sent_bits_per_s if has_remb and sent_bits_per_s else 1.0
        self.passed = 1 - lost
        warns = passes < REMB_TIGHT and not self._rises
        if lost >= LOSS_HOPELESS or (lost >= LOSS_BROKEN and warns):
            return Path.BROKEN
        congested = lost >= LOSS_CONGESTED and passes < 1.0 and not self._rises
        if lost >= LOSS_TIGHT or warns or congested:
            return Path.TIGHT
        if has_loss and lost <= LOSS_CLEAR and passes >= 1.0:
            return Path.CLEAR
        return Path.FAIR
