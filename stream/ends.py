"""What a broadcast asks of its two ends: where the picture comes from, and who sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

from .packet.source import Carried
from .track import Layer
from .wire.fanout import Lane

REPORT_EVERY_S = 2.0
_TURN_MAX = 48
"""Reports in one turn: well under the fan-out's queue."""


class BroadcastPublisher(Protocol):
    """Where the picture comes from: a host's session, or the pull of an edge."""

    @property
    def is_origin(self) -> bool:
        """It is a host's own, not another node's."""

    def request_keyframe(self, layer: Layer[BroadcastViewer]) -> None: ...

    def close(self, reason: str) -> None: ...


class BroadcastViewer(Protocol):
    lane: Lane | None
    is_live: bool
    is_paused: bool
    layer: Layer[BroadcastViewer]

    @property
    def is_edge(self) -> bool:
        """Another node, which counts its own viewers."""

    def catch_up(self, now: float) -> None:
        """Goes on with the cached GOP; sets `is_live` when it has reached its end."""

    def start_live(self, first: Carried) -> None:
        """`first` heads a keyframe of the layer whose GOP the viewer still reads: it goes live there."""

    def covers_live(self, layer: Layer[BroadcastViewer], seq: int) -> bool:
        """The viewer is live on `layer`, and `seq` falls into its current numbering."""

    def carry_late(self, layer: Layer[BroadcastViewer], carried: Carried) -> None: ...

    def switch(self, layer: Layer[BroadcastViewer], first: Carried) -> None:
        """`first` heads a keyframe of the layer that the viewer waits for."""

    def choose_layer(self, now: float) -> None: ...

    def codec_changed(self) -> None: ...

    def close(self, reason: str) -> None: ...


class ReportRota:
    """Whose turn it is to hear a sender report: everybody's every `REPORT_EVERY_S`, a few at a time."""

    def __init__(self) -> None:
        self._waiting: deque[BroadcastViewer] = deque()
        self._credit = 0.0

    def clear(self) -> None:
        self._waiting.clear()

    def turn(self, viewers: Mapping[BroadcastViewer, None], passed_s: float) -> Iterator[Lane]:
        if not self._waiting:
            self._waiting.extend(viewers)
        self._credit += len(viewers) * passed_s / REPORT_EVERY_S
        turns = min(int(self._credit), len(self._waiting), _TURN_MAX)
        self._credit = min(self._credit - turns, _TURN_MAX)
        for _ in range(turns):
            lane = self._waiting.popleft().lane
            if lane is not None:
                yield lane
