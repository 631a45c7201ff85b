"""One viewer's numbering of one track: gapless, whatever it is given of the relay's packets.

A `Span` is a run of packets under one numbering. While a viewer is live its span covers everything; a replay
of the cached GOP takes a span a frame, because there timestamps are drawn together (see `squeeze`). Spans are
kept for a while, so that a packet asked for again leaves under the very numbers of the first time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import NamedTuple

from .rtp import ahead, ahead32

MAX_SPANS = 512


class Span(NamedTuple):
    first: int
    """The relay's extended sequence number that it starts with."""
    seq_delta: int
    timestamp_delta: int
    payload_type: int
    layer: int = 0
    """Whose sequence numbers these are."""
    picture_id_delta: int = 0
    tl0_delta: int = 0

    @property
    def first_out(self) -> int:
        return self.first + self.seq_delta


class Forwarder:
    def __init__(self) -> None:
        self._spans: deque[Span] = deque(maxlen=MAX_SPANS)

    @property
    def current(self) -> Span | None:
        return self._spans[-1] if self._spans else None

    def start(
        self,
        first: int,
        previous: int,
        payload_type: int,
        timestamp_delta: int = 0,
        layer: int = 0,
        pictures: tuple[int, int] = (0, 0),
    ) -> Span:
        """A new span from `first` on; `previous` is the last packet that went out under the old one.

        `first` counts in `layer`, `previous` in the old span's; `pictures` are VP8's two deltas.
        """
        old = self.current
        seq_delta = 0 if old is None else max(previous, old.first - 1) + old.seq_delta + 1 - first
        span = Span(first, seq_delta, timestamp_delta, payload_type, layer, *pictures)
        if old is not None and span[1:] == old[1:]:
            return old
        self._spans.append(span)
        return span

    def covering(self, seq: int, layer: int = 0) -> Span | None:
        """The span under which packet `seq` of `layer` went out, or would have; None where none did."""
        end: int | None = None
        for span in reversed(self._spans):
            if span.layer == layer and span.first <= seq:
                return span if end is None or seq + span.seq_delta < end else None
            end = span.first_out
        return None

    def find(self, out_seq: int, newest: int) -> tuple[int, Span] | None:
        """The relay's packet behind a viewer's 16-bit `out_seq`; `newest` is the last it was sent.

        None for a number that none has left under.
        """
        if not self._spans:
            return None
        newest_out = newest + self._spans[-1].seq_delta
        out = newest_out + ahead(newest_out & 0xFFFF, out_seq)
        if out > newest_out:
            return None
        place = bisect_right(self._spans, out, key=lambda span: span.first_out) - 1
        if place < 0:
            return None
        span = self._spans[place]
        return out - span.seq_delta, span


def squeeze(timestamp: int, edge: int, frames_left: int, step: int = 180) -> int:
    """What to add to a replayed frame's timestamp: frames of the past follow each other `step` apart.

    A player times frames by their timestamps. Seconds of video that arrive at once would be shown at their
    pace, seconds late for ever; drawn together they run through, and the picture is at the live edge (`edge`,
    the timestamp of the newest frame, `frames_left` frames on).
    """
    return max(0, ahead32(timestamp, edge) - frames_left * step)
