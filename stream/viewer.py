"""One viewer session: from the cached keyframe to the live edge, and what it asks for on the way.

    joining ── connected, a keyframe is there ──▶ catching up ── GOP replayed ──▶ live

While it catches up a viewer reads the GOP at its own pace; live it is one of many lanes of a single send, and
stays so until it leaves. Where there are layers it goes over to another one at that layer's next keyframe;
where not even the lowest gets through, the picture rests so that the sound does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from .broadcast import AUDIO, VIDEO, Broadcast, Layer
from .ends import BroadcastViewer
from .packet import rtcp, rtp
from .packet.bandwidth import Bandwidth
from .packet.cache import Frame
from .packet.codecs import vp8_numbers
from .packet.forwarder import Forwarder, Span, squeeze
from .packet.layers import LayerChoice
from .packet.rtcp import KeyframeRequest, Nack, Remb, ReportBlock
from .packet.source import Carried
from .ports import Grant
from .resends import Resends, numbering
from .signal.answer import Choice
from .wire.fanout import Fanout, Lane, Numbering
from .wire.peer import Clock, Handle, Peer

BURST_PACKETS = 24
BURST_EVERY_S = 0.004
"""A replayed GOP leaves at some 55 Mbit/s: a second of video in 50 ms, without flooding a home router."""
LOOK_AGAIN_S = 0.03
"""For what the publisher was asked to send again."""
ROOM_FRAMES = 64
"""Replays wait while this much is queued: who has just come must not cost the others a frame."""
FRESH_S = 4.0
"""A GOP no older than this is replayed without asking the publisher for a newer keyframe."""
_FIRST_REPORTS_S = 0.4
_APART = 90
"""Of the clock, at least, between two replayed frames: half of what `squeeze` leaves."""


class Viewer:
    """`on_closed` is called last, when nothing of the session is left."""

    kind = "whep"

    def __init__(
        self,
        session: str,
        grant: Grant,
        broadcast: Broadcast,
        choices: list[Choice],
        peer: Peer,
        fanout: Fanout,
        clock: Clock,
        on_closed: Callable[[Viewer, str], None],
        on_first_frame: Callable[[float], None],
    ) -> None:
        self.session = session
        self.grant = grant
        self.broadcast = broadcast
        self.peer = peer
        self.lane: Lane | None = None
        self.is_live = False
        self.is_paused = False
        self.layer: Layer[BroadcastViewer] = broadcast.video
        self.choice = LayerChoice()
        self.joined_at = clock.time()
        self.first_frame_s: float | None = None
        self.bandwidth = Bandwidth(self.joined_at)
        self.round_trip_s: float | None = None
        self.counts = Counter(nacked=0, resent=0, not_resent=0, pli=0, switches=0, pauses=0)
        self._choices = {choice.codec.name: choice for choice in choices}
        self._fanout = fanout
        self._clock = clock
        self._on_closed = on_closed
        self._on_first_frame = on_first_frame
        self._forwarder = Forwarder()
        self._generation = -1
        self._next = 0
        self._sent = -1
        self._edge = (0, 0)
        self._replayed: int | None = None
        self._pictures: tuple[int, int] | None = None
        self._timer: Handle | None = None
        self._resends = Resends(broadcast, choices, self._forwarder, fanout, self.counts, self.joined_at)
        peer.owner = self

    @property
    def generation(self) -> str:
        """The newest ICE generation: it changes with each restart, and with nothing else."""
        return self.peer.ice.generations[-1].ufrag

    @property
    def is_edge(self) -> bool:
        return self.grant.is_edge

    # From the peer

    def peer_connected(self, lane: Lane) -> None:
        self.lane = lane
        audio = self._choices.get("OPUS")
        if audio is not None:
            self._fanout.number(lane, AUDIO, Numbering(self.broadcast.audio.ssrc, audio.payload_type, 0, 0))
        self.broadcast.connected(self)
        now = self._clock.time()
        self.choose_layer(now)
        self.send_report(now)
        self._clock.call_later(_FIRST_REPORTS_S, self._send_second_report)
        self.catch_up(now)

    def peer_sent_rtp(self, packet: bytes, now: float) -> None:
        """Viewers send no media; padding for bandwidth probes may come, and is nothing to us."""

    def peer_sent_rtcp(self, compound: bytes, now: float) -> None:
        for report in rtcp.parse(compound):
            if isinstance(report, Nack):
                if report.ssrc == self.broadcast.video.ssrc and self.lane is not None:
                    newest = self.layer.newest if self.is_live else self._sent
                    self._resends.answer(report, self.lane, newest, self.round_trip_s or 0.0, now)
            elif isinstance(report, KeyframeRequest):
                self.counts["pli"] += 1
                self.broadcast.request_keyframe(now, self.layer)
            elif isinstance(report, Remb):
                self.bandwidth.heard_remb(report.bits_per_s, now)
            elif isinstance(report, ReportBlock) and report.ssrc == self.broadcast.video.ssrc:
                self.bandwidth.heard_loss(report.fraction_lost / 256, now)
                self.round_trip_s = self.broadcast.video.round_trip_s(report, now)

    def peer_closed(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lane, self.lane, self.is_live = self.lane, None, False
        self.broadcast.leave(self, was_connected=lane is not None)
        self._on_closed(self, reason)

    def close(self, reason: str) -> None:
        self.peer.close(reason)

    # To the peer

    def send_report(self, now: float) -> None:
        report = self.broadcast.sender_reports(now)
        if report and self.lane is not None:
            self._fanout.send_rtcp(self.lane, report)

    def _send_second_report(self) -> None:
        """A player needs two reports before it can keep sound and picture together."""
        self.send_report(self._clock.time())

    def catch_up(self, now: float) -> None:
        """Sends the next piece of the cached GOP, as far as it is whole; goes live at its end."""
        if self.lane is None or self.is_live or self.is_paused or self._timer is not None:
            return
        gop = self.layer.gop
        if gop.generation != self._generation and gop.is_open:
            self._begin(now)
        if gop.generation != self._generation:
            self.broadcast.request_keyframe(now, self.layer)
            return
        left = BURST_PACKETS if self._fanout.stats().queued < ROOM_FRAMES else 0
        # By number, not by place: what was overtaken may become a frame among those that have left already.
        place = bisect_left(gop.frames, self._next, key=_first_seq)
        while left > 0 and place < len(gop.frames) and not gop.awaits_more(place, now):
            sent = self._replay(gop.frames[place], self._frames_left(place))
            if not sent:
                break
            left -= sent
            place += 1
        if self.lane is None:
            return
        if place >= len(gop.frames):
            self._go_live()
        else:
            after_s = LOOK_AGAIN_S if gop.awaits_more(place, now) else BURST_EVERY_S
            self._timer = self._clock.call_later(after_s, self._catch_up_later)

    def _frames_left(self, place: int) -> int:
        """To what was the newest frame when the replay began."""
        return bisect_left(self.layer.gop.frames, self._edge[1], key=_first_seq) - place

    def _catch_up_later(self) -> None:
        self._timer = None
        self.catch_up(self._clock.time())

    def _begin(self, now: float) -> None:
        gop = self.layer.gop
        self._generation, self._next = gop.generation, 0
        self._edge = (gop.frames[-1].timestamp, gop.frames[-1].first_seq)
        span = self._forwarder.current
        self._pictures = self._pictures_on(self.layer, gop.frames[0].packets[0][1], span) if span else None
        if gop.age_s(now) > FRESH_S:
            self.broadcast.request_keyframe(now, self.layer)
        self._note_first_frame(now)

    def _note_first_frame(self, now: float) -> None:
        if self.first_frame_s is None:
            self.first_frame_s = now - self.joined_at
            self._on_first_frame(self.first_frame_s)

    def _replay(self, frame: Frame, frames_left: int) -> int:
        """Packets sent: 0 when there is no room, or the viewer had to go."""
        delta = squeeze(frame.timestamp, self._edge[0], frames_left) if frames_left > 0 else 0
        if self._replayed is not None:  # frames may have come in between since the last one left
            delta += max(0, rtp.ahead32(frame.timestamp + delta, self._replayed + _APART))
        if not self._number(frame.first_seq, self._sent, delta, self._pictures) or self.lane is None:
            return 0
        self._sent = frame.first_seq - 1  # in the numbers that now count, also should nothing leave
        packets = [packet for _, packet in frame.packets]
        if not self._fanout.send(VIDEO, packets, (self.lane,), self.layer.codec_name):
            return 0
        self._sent = frame.last_seq
        self._next = frame.last_seq + 1
        self._replayed = frame.timestamp + delta
        return len(packets)

    def _go_live(self) -> None:
        if self._number(self.layer.newest + 1, self._sent, 0, self._pictures):
            self.is_live, self._replayed = True, None
            self.broadcast.regroup()

    def start_live(self, first: Carried) -> None:
        """Goes live at the keyframe that `first` heads: to replay it once more would cost the same again."""
        if self.lane is None or self.is_live or self.is_paused:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        span = self._forwarder.current
        pictures = self._pictures_on(self.layer, first.packet, span) if span else None
        self._note_first_frame(self._clock.time())
        if self._number(first.seq, self._sent, 0, pictures):
            self.is_live, self._replayed = True, None
            self.broadcast.regroup()

    def _number(
        self, first: int, previous: int, timestamp_delta: int, pictures: tuple[int, int] | None = None
    ) -> bool:
        """A span from `first` on; False when this viewer can't take the codec on air."""
        choice = self._choices.get(self.layer.codec_name)
        if choice is None or self.lane is None:
            self.close("codec_changed")
            return False
        before = self._forwarder.current
        if self.layer.codec_name != "VP8":
            pictures = (0, 0)
        elif pictures is None:  # they go on as they are
            pictures = (before.picture_id_delta, before.tl0_delta) if before else (0, 0)
        span = self._forwarder.start(
            first, previous, choice.payload_type, timestamp_delta, self.layer.index, pictures
        )
        if span is not before:
            self._fanout.number(self.lane, VIDEO, numbering(span, self.broadcast.video.ssrc))
        return True

    def codec_changed(self) -> None:
        """The next keyframe comes in another codec than the last; the viewer may have agreed to it or not."""
        if self.layer.codec_name not in self._choices:
            self.close("codec_changed")
        elif self.is_live:
            self._number(self.layer.newest + 1, self.layer.newest, 0)

    # Layers

    def choose_layer(self, now: float) -> None:
        """Looks at what is on air and at what gets through; a change waits for the target's next keyframe."""
        if self.is_edge:
            self._keep_to_layer(now)
            return
        if len(self.broadcast.layers) == 1 and self.choice.is_calm and not self.bandwidth.loses_much:
            return  # the ordinary case, a thousand times every half second
        rates = self.broadcast.rates(now)
        if self.lane is None or not rates:
            return
        path = self.bandwidth.judge(rates.get(self.layer.index, 0.0), now)
        target = self.choice.choose(rates, path, now, self.layer.index, self.bandwidth.passed)
        if target is None:
            self._pause()
            return
        layer = self.broadcast.layers[target]
        is_silent = self.layer.index not in rates
        if self.is_paused or (layer is not self.layer and (is_silent or not self.is_live)):
            self._read_from(layer, now)
        elif layer is not self.layer:
            if self not in layer.waiting:
                self._stop_waiting()
                layer.waiting[self] = None
            self.broadcast.request_keyframe(now, layer)
        else:
            self._stop_waiting()

    def _keep_to_layer(self, now: float) -> None:
        """A node takes the layer it asked for as it comes: which one suits whom is for its own viewers."""
        layer = self.broadcast.layers[self.choice.preferred or 0]
        if self.lane is not None and layer is not self.layer:
            self._read_from(layer, now)

    def switch(self, layer: Layer[BroadcastViewer], first: Carried) -> None:
        """From the keyframe that `first` heads the viewer is on `layer`."""
        old, span = self.layer, self._forwarder.current
        if not self.is_live or span is None or layer.codec is None:
            return
        last = old.continuity.timestamp + span.timestamp_delta
        behind = rtp.ahead32(first.timestamp, last)
        pictures = self._pictures_on(layer, first.packet, span)
        self.layer = layer
        self.counts["switches"] += 1
        self.bandwidth.restarted(self._clock.time())
        self._number(first.seq, old.newest, behind + 90 if behind >= 0 else 0, pictures)

    def _pictures_on(self, layer: Layer[BroadcastViewer], first: bytes, span: Span) -> tuple[int, int] | None:
        """VP8's numbers go on behind those of the layer that is left, whatever the new one counts."""
        numbers = vp8_numbers(first[rtp.HEADER_BYTES :]) if layer.codec_name == "VP8" else None
        held = self.broadcast.layers[span.layer].continuity
        if numbers is None or held.picture_id < 0:
            return None
        picture_id = held.picture_id + span.picture_id_delta + 1 - numbers[0] if numbers[0] >= 0 else 0
        tl0 = held.tl0 + span.tl0_delta + 1 - numbers[1] if numbers[1] >= 0 else 0
        return picture_id & 0x7FFF, tl0 & 0xFF

    def _read_from(self, layer: Layer[BroadcastViewer], now: float) -> None:
        """At once, by the layer's GOP: there is nothing that the viewer would see until its next keyframe."""
        self._leave_live()
        self.layer, self.is_paused, self._generation = layer, False, -1
        self.bandwidth.restarted(now)
        self.broadcast.regroup()
        self.catch_up(now)

    def _pause(self) -> None:
        if self.is_paused:
            return
        self._leave_live()
        self.is_paused = True
        self.counts["pauses"] += 1
        self.broadcast.regroup()

    def _leave_live(self) -> None:
        self._stop_waiting()
        if self.is_live:
            self._sent = self.layer.newest
        self.is_live = False

    def _stop_waiting(self) -> None:
        for layer in self.broadcast.layers:
            layer.waiting.pop(self, None)

    # Again

    def covers_live(self, layer: Layer[BroadcastViewer], seq: int) -> bool:
        current = self._forwarder.current
        return self.is_live and layer is self.layer and current is not None and current.first <= seq

    def carry_late(self, layer: Layer[BroadcastViewer], carried: Carried) -> None:
        """A packet from before the viewer's current numbers: under those of its time, or not at all."""
        span = self._forwarder.covering(carried.seq, layer.index)
        if span is None or self.lane is None:
            return
        if self.is_live or layer is not self.layer or carried.seq <= self._sent:
            self._resends.repeat(carried.packet, span, self.lane)


def _first_seq(frame: Frame) -> int:
    return frame.first_seq
