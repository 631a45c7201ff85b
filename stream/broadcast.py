"""One show's picture: from its publisher, frame by frame, to its viewers. The hot path.

    Publisher ── carry ──▶ ring ─ gather ─▶ GOP ──▶ fan-out ──▶ live viewers        (one call a frame)
                                             └────▶ Viewer.catch_up ──▶ fan-out     (who has just joined)

With simulcast each layer goes this way by itself, to the viewers who are on it.

A broadcast outlives its publishers: while one is away its viewers stay, and the next one's packets go on in
the same numbers (`packet.source`). All viewers of a broadcast see the same SSRCs and timestamps; their keys
differ. So sender reports are the same bytes for everyone, and a time in the picture is the same on every
screen.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from .ends import BroadcastPublisher, BroadcastViewer, ReportRota
from .packet.codecs import Codec
from .packet.gather import HOLD_S
from .packet.rtp import HEADER_BYTES
from .packet.source import Carried
from .ports import BroadcastId, BroadcastState
from .track import AUDIO, RTX, VIDEO, Layer, Track, rates_on_air
from .wire.fanout import Fanout, Lane
from .wire.peer import Clock

__all__ = ["AUDIO", "RTX", "VIDEO", "Broadcast", "Layer", "Track"]

SILENT_S = 2.0
LAYER_SILENT_S = 1.0
MAX_LAYERS = 4


class BroadcastOwner(Protocol):
    def broadcast_changed(self, broadcast: Broadcast) -> None: ...


class Broadcast:
    def __init__(
        self, broadcast_id: BroadcastId, fanout: Fanout, clock: Clock, owner: BroadcastOwner
    ) -> None:
        self.id = broadcast_id
        self.state = BroadcastState.IDLE
        self.since = clock.time()
        self.publisher: BroadcastPublisher | None = None
        self.heir: BroadcastPublisher | None = None
        """Takes the publisher's place with its first keyframe."""
        self.is_origin = False
        """The newest picture came from a host, not from another node."""
        self.viewers: dict[BroadcastViewer, None] = {}
        self.audience = 0
        """Viewers that are connected, not only announced."""
        self.audio = Track(AUDIO, 48000, secrets.randbits(31) | 1)
        self.layers: list[Layer[BroadcastViewer]] = [Layer(0, secrets.randbits(31) | 1)]
        self.rtx_ssrc = secrets.randbits(31) | 1
        self.cname = secrets.token_hex(8).encode()
        self.profile_level_id = ""
        """Of the H.264 on air, as its publisher offered it."""
        self._lanes_stale = False
        self._on_air: frozenset[int] = frozenset()
        self._rota = ReportRota()
        self._fanout = fanout
        self._clock = clock
        self._owner = owner

    @property
    def video(self) -> Layer[BroadcastViewer]:
        """The first layer, and the only one without simulcast; it stands for what all layers share."""
        return self.layers[0]

    # The hot path

    def carry(self, track: Track, carried: Carried, now: float) -> None:
        """A packet from the publisher, in the relay's numbers."""
        track.ring.put(carried.seq, carried.packet, now)
        track.packets += 1
        track.octets += len(carried.packet) - HEADER_BYTES
        if self.state is not BroadcastState.LIVE:
            self._enter(BroadcastState.LIVE, now)
        if isinstance(track, Layer):
            self._carry_video(track, carried, now)
        else:
            track.newest = max(track.newest, carried.seq)
            self._send(track, [carried.packet])

    def _carry_video(self, layer: Layer[BroadcastViewer], carried: Carried, now: float) -> None:
        if carried.starts_keyframe:
            layer.keyframes.arrived()
        if carried.late and not layer.gather.fits(carried, layer.newest):
            self._carry_late(layer, carried)
            return
        if layer.gather.starts_another(carried):
            self._flush(layer, now)
        if layer.gather.add(carried):
            self._flush(layer, now)
        elif layer.flush_timer is None:
            layer.flush_timer = self._clock.call_later(HOLD_S, self._flush_held, layer)

    def _flush(self, layer: Layer[BroadcastViewer], now: float) -> None:
        frame, generation = layer.gather.take(), layer.gop.generation
        for carried in frame:
            layer.gop.add(carried, now)
        if frame:
            if layer.gop.is_open and layer.gop.generation != generation:
                self._let_in(layer, frame[0])
            layer.newest = frame[-1].seq
            self._send(layer, [carried.packet for carried in frame])
        for viewer in layer.joining:
            viewer.catch_up(now)

    def _send(self, track: Track, packets: list[bytes]) -> None:
        if self._lanes_stale:
            self._refresh_lanes()
        if track.lanes:
            self._fanout.send(track.number, packets, track.lanes, track.codec_name)

    def _let_in(self, layer: Layer[BroadcastViewer], first: Carried) -> None:
        """A live keyframe begins in this frame, be it behind a delimiter: whoever waits for it, or still
        replays what came before, goes on from its first packet."""
        if layer.waiting:
            waiting, layer.waiting = layer.waiting, {}
            for viewer in waiting:
                viewer.switch(layer, first)
            self._lanes_stale = True
        if self._lanes_stale:
            self._refresh_lanes()
        for viewer in layer.joining:
            viewer.start_live(first)

    def _carry_late(self, layer: Layer[BroadcastViewer], carried: Carried) -> None:
        layer.gop.add_late(carried)
        lanes = []
        for viewer in self.viewers:
            if viewer.covers_live(layer, carried.seq) and viewer.lane is not None:
                lanes.append(viewer.lane)
            else:
                viewer.carry_late(layer, carried)
        self._fanout.send(VIDEO, (carried.packet,), lanes, layer.codec_name)

    def _flush_held(self, layer: Layer[BroadcastViewer]) -> None:
        layer.flush_timer = None
        self._flush(layer, self._clock.time())

    def _refresh_lanes(self) -> None:
        self._lanes_stale = False
        audio: list[Lane] = []
        video: list[list[Lane]] = [[] for _ in self.layers]
        for layer in self.layers:
            layer.joining = []
        for viewer in self.viewers:
            if viewer.lane is not None:
                audio.append(viewer.lane)
                if viewer.is_live:
                    video[viewer.layer.index].append(viewer.lane)
                elif not viewer.is_paused:
                    viewer.layer.joining.append(viewer)
        self.audio.lanes = tuple(audio)
        for layer, lanes in zip(self.layers, video, strict=True):
            layer.lanes = tuple(lanes)

    # Who is there

    def join(self, viewer: BroadcastViewer) -> None:
        """The viewer is expected; it counts once it is connected."""
        self.viewers[viewer] = None

    def connected(self, viewer: BroadcastViewer) -> None:
        """A viewer has its lane."""
        self._lanes_stale = True
        if not viewer.is_edge:
            self._count(+1)

    def regroup(self) -> None:
        """A viewer has gone live, paused, or changed its layer."""
        self._lanes_stale = True

    def leave(self, viewer: BroadcastViewer, *, was_connected: bool) -> None:
        self.viewers.pop(viewer, None)
        for layer in self.layers:
            layer.waiting.pop(viewer, None)
        self._lanes_stale = True
        if not self.viewers:
            self._rota.clear()
        if was_connected and not viewer.is_edge:
            self._count(-1)

    @property
    def is_watched(self) -> bool:
        """Somebody is here who is no node."""
        return any(not viewer.is_edge for viewer in self.viewers)

    def _count(self, change: int) -> None:
        self.audience += change
        self._owner.broadcast_changed(self)

    def request_keyframe(self, now: float, layer: Layer[BroadcastViewer]) -> None:
        if layer.keyframes.ask(now) and self.publisher is not None:
            self.publisher.request_keyframe(layer)

    def announce(self, rids: list[str]) -> list[Layer[BroadcastViewer]]:
        """A layer for each of a publisher's encodings, the same ones for each publisher that comes."""
        while len(self.layers) < min(len(rids), MAX_LAYERS):
            self.layers.append(Layer(len(self.layers), self.video.ssrc))
        for layer, rid in zip(self.layers, [*rids, *[""] * MAX_LAYERS], strict=False):
            layer.rid = rid
        return self.layers[: len(rids)]

    def rates(self, now: float) -> dict[int, float]:
        """Bits a second of each layer on air; of one that is alone, whatever it sends."""
        return rates_on_air(self.layers, now, SILENT_S if len(self.layers) == 1 else LAYER_SILENT_S)

    def describe_layers(self) -> dict[str, object]:
        """What viewers may choose from, by m-line (WHEP, layers event)."""
        rates = self.rates(self._clock.time())
        layers = [
            {"rid": layer.rid, "bitrate": round(rates[layer.index])}
            for layer in self.layers
            if layer.rid and layer.index in rates
        ]
        return {"0": layers}

    def source_started(self, track: Track, codec: Codec, now: float) -> None:
        """A publisher's stream begins: what is cached of an earlier one leads nowhere."""
        if isinstance(track, Layer):
            self._flush(track, now)
            track.gop.clear()
        track.forget_clock()
        changed, track.codec = track.codec not in (None, codec), codec
        if changed:
            for viewer in list(self.viewers):
                viewer.codec_changed()

    def take(self, publisher: BroadcastPublisher) -> None:
        """In charge at once where nobody is; else from its first keyframe on."""
        if self.publisher is None:
            self._put_in_charge(publisher)
        else:
            self.heir = publisher

    def succeed(self, heir: BroadcastPublisher, now: float) -> None:
        """The heir's picture has come: it goes on where the one on air ends."""
        held = self.publisher
        for layer in self.layers:
            self._flush(layer, now)
        self._put_in_charge(heir)
        if held is not None:
            held.close("taken_over")
        self._owner.broadcast_changed(self)

    def _put_in_charge(self, publisher: BroadcastPublisher) -> None:
        self.publisher, self.is_origin = publisher, publisher.is_origin
        if self.heir is publisher:
            self.heir = None

    def publisher_left(self, publisher: BroadcastPublisher, now: float) -> None:
        if self.heir is publisher:
            self.heir = None
        if self.publisher is publisher:
            self.publisher = None
            if self.heir is not None:
                self._put_in_charge(self.heir)
            self.gone_silent(now)

    def publisher_silent(self, publisher: BroadcastPublisher, now: float) -> None:
        """It says so itself, and is kept."""
        if self.publisher is publisher:
            self.gone_silent(now)

    def expect(self, now: float) -> None:
        """Nobody is on air yet, but somebody will be: viewers may wait here."""
        if self.state is BroadcastState.IDLE:
            self._enter(BroadcastState.AWAY, now)

    def gone_silent(self, now: float) -> None:
        for layer in self.layers:
            self._flush(layer, now)
        if self.state is BroadcastState.LIVE:
            self._enter(BroadcastState.AWAY, now)

    def sweep(self, now: float) -> None:
        """Every half second: notices silence, lets go of lanes that nothing was sent to since."""
        if self._lanes_stale:
            self._refresh_lanes()
        for layer in self.layers:
            layer.measure(now)
        on_air, self._on_air = self._on_air, frozenset(self.rates(now))
        if on_air != self._on_air:
            self._owner.broadcast_changed(self)
        for viewer in list(self.viewers):
            viewer.choose_layer(now)
        if now - max(track.continuity.at for track in (self.audio, *self.layers)) > SILENT_S:
            self.gone_silent(now)

    def end(self, reason: str) -> None:
        """Sends everyone away."""
        for publisher in (self.heir, self.publisher):
            if publisher is not None:
                publisher.close(reason)
        for viewer in list(self.viewers):
            viewer.close(reason)
        self._enter(BroadcastState.IDLE, self._clock.time())

    def take_turn(self, publisher: BroadcastPublisher, now: float, passed_s: float) -> None:
        """Every few milliseconds while the publisher is connected: what is due to it and to the viewers."""
        if self.publisher is publisher:
            for layer in self.layers:
                if layer.keyframes.due(now):
                    publisher.request_keyframe(layer)
            self._report(now, passed_s)

    def _report(self, now: float, passed_s: float) -> None:
        """Sender reports to the viewers whose turn it is, so that sound and picture stay together."""
        report = b""
        for lane in self._rota.turn(self.viewers, passed_s):
            report = report or self.sender_reports(now)
            if report:
                self._fanout.send_rtcp(lane, report)

    def sender_reports(self, now: float) -> bytes:
        """One compound for both tracks, as far as the publisher has told its clock."""
        return self.video.sender_report(now, self.cname) + self.audio.sender_report(now, self.cname)

    def _enter(self, state: BroadcastState, now: float) -> None:
        if self.state is not state:
            self.state, self.since = state, now
            self._owner.broadcast_changed(self)
