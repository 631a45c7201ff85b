"""Keyframe requests of many viewers, folded into few: each keyframe costs everyone picture quality."""

from __future__ import annotations

INTERVAL_S = 1.0
MAX_TRIES = 3
"""An encoder that doesn't answer won't: some ignore requests and send keyframes as they please."""


class KeyframeRequests:
    """`ask` for every wish, `due` now and then; `arrived` when a keyframe came."""

    def __init__(self) -> None:
        self._wanted = False
        self._last = float("-inf")
        self._tries = 0

    def ask(self, now: float) -> bool:
        """True when a request should go out at once."""
        if not self._wanted:
            self._wanted, self._tries = True, 0
        return self.due(now)

    def due(self, now: float) -> bool:
        """True when a request should go out: at most one every `INTERVAL_S`."""
        if not self._wanted or now - self._last < INTERVAL_S:
            return False
        if self._tries >= MAX_TRIES:
            self._wanted = False
            return False
        self._tries += 1
        self._last = now
        return True

    def arrived(self) -> None:
        self._wanted = False
