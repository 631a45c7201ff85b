"""Which layer a viewer should see.

    preferred   what the viewer asked for, else the best there is
    target      what its path is thought to carry: down after a bad second, to what still gets through; up a
                step after a good while; a step up that fails makes the next while twice as long, one that
                lasts half as long
    current     what it is sent; it becomes the target at the target's next keyframe (`viewer`); until then
                what is reported says nothing about the target

Where a path is broken and not even the lowest layer would fit, the picture pauses, so that the sound gets
through; after a while the lowest layer is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, sqrt

from .bandwidth import Path

DOWN_AFTER_S = 1.0
DOWN_AT_ONCE_S = 0.5
"""On trial, or when even sound is in danger."""
UP_AFTER_S = 5.0
UP_AFTER_MAX_S = 45.0
TRIAL_S = 15.0
"""A step up that is followed by trouble within this time has failed."""
PAUSE_AFTER_S = 1.5
KEYFRAME_S = 4.0
"""The same while the keyframe of a lower layer is on its way, as far as it is."""
PAUSE_S = 5.0
PAUSE_MAX_S = 40.0


class LayerChoice:
    """`rates` maps the layers on air to their bits a second, in any order."""

    def __init__(self) -> None:
        self.preferred: int | None = None
        self.target: int | None = None
        self.is_paused = False
        self._limit = inf
        self._bad_since: float | None = None
        self._good_since: float | None = None
        self._broken_since: float | None = None
        self._up_after_s = UP_AFTER_S
        self._is_trial = False
        self._stepped_up_at = 0.0
        self._pause_s = PAUSE_S
        self._paused_at = 0.0

    @property
    def is_calm(self) -> bool:
        """Neither paused nor on the way there."""
        return self._broken_since is None and not self.is_paused

    def choose(
        self,
        rates: Mapping[int, float],
        path: Path,
        now: float,
        current: int | None = None,
        passed: float = 1.0,
    ) -> int | None:
        """The target; None to pause, or where nothing is on air. `path`, and how much of it `passed`, are of
        the layer that is sent: `current`, where it isn't the target yet."""
        if not rates:
            return self.target
        if self.is_paused:
            self._rest(rates, now)
        elif current is not None and current != self.target and current in rates and self.target in rates:
            self._wait(path, now)
        else:
            self._note(path, now)
            self._step(rates, now, passed)
        self.target = None if self.is_paused else self._best(rates)
        return self.target

    def _wait(self, path: Path, now: float) -> None:
        """For a keyframe, but not for ever; a trial begins when the step is made."""
        self._bad_since = self._good_since = None
        self._broken_since = _since(self._broken_since, path is Path.BROKEN, now)
        if self._is_trial:
            self._stepped_up_at = now
        self._pause_when_due(now, KEYFRAME_S)

    def _note(self, path: Path, now: float) -> None:
        bad = path in (Path.TIGHT, Path.BROKEN)
        self._bad_since = _since(self._bad_since, bad, now)
        self._good_since = _since(self._good_since, path is Path.CLEAR, now)
        self._broken_since = _since(self._broken_since, path is Path.BROKEN, now)

    def _step(self, rates: Mapping[int, float], now: float, passed: float) -> None:
        self._end_trial(now)
        current = rates[self._best(rates)]
        lower = sorted(rate for rate in self._allowed(rates).values() if rate < current)
        fits = [rate for rate in lower if rate <= current * passed]
        if self._broken_since is not None and not fits:
            self._pause_when_due(now, PAUSE_AFTER_S)
        elif self._bad_since is not None and now - self._bad_since >= self._down_after_s and lower:
            fitting = fits[-1] if fits else lower[0]
            self._down(_between(fitting, next(rate for rate in [*lower, current] if rate > fitting)))
        elif self._good_since is not None and now - self._good_since >= self._up_after_s:
            self._up(rates, current, now)

    def _pause_when_due(self, now: float, after_s: float) -> None:
        if self._broken_since is not None and now - self._broken_since >= after_s:
            self.is_paused, self._paused_at = True, now

    def _end_trial(self, now: float) -> None:
        if self._is_trial and now - self._stepped_up_at >= TRIAL_S:
            self._is_trial, self._pause_s = False, PAUSE_S
            self._up_after_s = max(UP_AFTER_S, self._up_after_s / 2)

    @property
    def _down_after_s(self) -> float:
        return DOWN_AT_ONCE_S if self._is_trial or self._broken_since is not None else DOWN_AFTER_S

    def _down(self, limit: float) -> None:
        if self._is_trial:
            self._is_trial, self._up_after_s = False, min(UP_AFTER_MAX_S, self._up_after_s * 2)
        self._limit = limit
        self._bad_since = self._broken_since = None

    def _up(self, rates: Mapping[int, float], current: float, now: float) -> None:
        higher = sorted(rate for rate in rates.values() if rate > current)
        if not higher:
            self._pause_s = PAUSE_S
        if higher and self._limit < inf:
            self._is_trial, self._stepped_up_at = True, now
            self._limit = _between(*higher[:2]) if len(higher) > 1 else inf
        self._good_since = None

    def _rest(self, rates: Mapping[int, float], now: float) -> None:
        if now - self._paused_at >= self._pause_s:
            self.is_paused = False
            self._bad_since = self._good_since = self._broken_since = None
            self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)
            self._limit = _between(*sorted(rates.values())[:2]) if len(rates) > 1 else inf

    def _best(self, rates: Mapping[int, float]) -> int:
        allowed = self._allowed(rates)
        return max(allowed, key=allowed.__getitem__)

    def _allowed(self, rates: Mapping[int, float]) -> dict[int, float]:
        """Within the limit and no better than preferred; the lowest where all are above."""
        most = rates.get(self.preferred, inf) if self.preferred is not None else inf
        within = {layer: rate for layer, rate in rates.items() if rate <= min(most, self._limit)}
        lowest = min(rates, key=rates.__getitem__)
        return within or {lowest: rates[lowest]}


def _between(lower: float, upper: float) -> float:
    """Rates vary, so a limit lies midway between two layers, as ratios go."""
    return sqrt(lower * upper)


def _since(before: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if before is None else before
