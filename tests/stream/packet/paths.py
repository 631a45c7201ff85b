"""A viewer's path in a few lines: a bottleneck with a queue, and a player that reports as Chromium does.

The relay's side is the real one: `Bandwidth` hears what the player says, `LayerChoice` chooses, every half
second, and a change waits for a keyframe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from stream.packet.bandwidth import Bandwidth
from stream.packet.layers import LayerChoice

STEP_S = 0.05
AUDIO_BITS_PER_S = 40_000.0
QUEUE_S = 0.3
"""What the bottleneck holds before it drops."""


@dataclass
class Simulation:
    """`capacity(t)` in bit/s; `random_loss` is of the radio, whatever the rate."""

    capacity: Callable[[float], float]
    rates: dict[int, float]
    random_loss: float = 0.0
    keyframe_every_s: float = 0.4
    """How long a switch waits: an encoder that answers requests; 2–4 s for one that doesn't."""
    history: list[tuple[float, int | None]] = field(default_factory=list)
    """When the picture changed, and to what."""
    audio_lost: list[tuple[float, float]] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.bandwidth, self.choice = Bandwidth(0.0), LayerChoice()
        self.current: int | None = max(self.rates)
        self.history.append((0.0, self.current))
        self._queue = self._sent = self._dropped = 0.0
        self._remb, self._delivered = 300_000.0, 0.0
        self._wanted: int | None = self.current
        self._waits_until = 0.0

    def run(self, until: float) -> Simulation:
        ticks = dict.fromkeys(("report", "choose"), self.now)
        while self.now < until:
            self.now += STEP_S
            self._carry()
            if self.now - ticks["report"] >= 1.0:
                ticks["report"] = self.now
                self._report()
            if self.now - ticks["choose"] >= 0.5:
                ticks["choose"] = self.now
                self._choose()
            if self._wanted != self.current and self.now >= self._waits_until:
                self._switch(self._wanted)
        return self

    def _carry(self) -> None:
        video = self.rates[self.current] if self.current is not None else 0.0
        sent, room = (video + AUDIO_BITS_PER_S) * STEP_S, self.capacity(self.now) * STEP_S
        before = self._queue
        self._queue = max(0.0, self._queue + sent - room)
        dropped = max(0.0, self._queue - QUEUE_S * self.capacity(self.now))
        self._queue -= dropped
        arrived = (sent - dropped - (self._queue - before)) * (1 - self.random_loss)
        lost = dropped + sent * self.random_loss
        self._sent, self._dropped = self._sent + sent, self._dropped + lost
        self.audio_lost.append((self.now, lost / sent))
        self._delivered += (arrived / STEP_S - self._delivered) * 0.2
        if self._queue > before + 1:  # the delay grows: overuse
            self._remb = min(self._remb, 0.85 * self._delivered)
        else:
            self._remb = min(self._remb * 1.08**STEP_S + 1000 * STEP_S, 1.5 * self._delivered + 10_000)

    def _report(self) -> None:
        if self.current is not None:
            self.bandwidth.heard_loss(min(1.0, self._dropped / self._sent), self.now)
        self.bandwidth.heard_remb(round(self._remb), self.now)
        self._sent = self._dropped = 0.0

    def _choose(self) -> None:
        path = self.bandwidth.judge(self.rates[self.current] if self.current is not None else 0.0, self.now)
        target = self.choice.choose(self.rates, path, self.now, self.current, self.bandwidth.passed)
        if target is None or self.current is None:
            self._switch(target)
        elif target != self._wanted:
            self._wanted, self._waits_until = target, self.now + self.keyframe_every_s

    def _switch(self, to: int | None) -> None:
        if to != self.current:
            self.current = self._wanted = to
            self.history.append((self.now, to))
            if to is not None:
                self.bandwidth.restarted(self.now)

    # What came of it

    def changes(self, since: float = 0.0, until: float = float("inf")) -> int:
        return sum(since < at <= until for at, _ in self.history[1:])

    def share_on(self, layer: int | None, since: float, until: float) -> float:
        """Of the time between, how much was spent on `layer`."""
        spent, marks = 0.0, [*self.history, (self.now, None)]
        for (at, shown), (left, _) in itertools.pairwise(marks):
            if shown == layer:
                spent += max(0.0, min(left, until) - max(at, since))
        return spent / (until - since)

    def first_on(self, layer: int | None, since: float) -> float:
        """Seconds after `since` until the picture was on `layer`; infinite when it never was."""
        shown = [held for held in self.history if held[0] <= since][-1][1]
        if shown == layer:
            return 0.0
        return next((at - since for at, to in self.history if at > since and to == layer), float("inf"))

    def audio_loss(self, since: float, until: float) -> float:
        found = [lost for at, lost in self.audio_lost if since < at <= until]
        return sum(found) / len(found)
