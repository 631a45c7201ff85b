"""One show's picture: from its publisher, frame by frame, to its viewers. The hot path.

    Publisher ── carry ──▶ ring ─ gather ─▶ GOP ──▶ fan-out ──▶ live viewers        (one call a frame)
                                             └────▶ Viewer.catch_up ──▶ fan-out     (who has just joined)

A broadcast outlives its publishers: while one is away its viewers stay, and the next one's packets go on in
the same numbers (`packet.source`). All viewers of a broadcast see the same SSRCs and timestamps; their keys
differ. So sender reports are the same bytes for everyone, and a time in the picture is the same on every
screen.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Protocol

from .packet import rtcp
from .packet.cache import Gop, Ring
from .packet.codecs import Codec
from .packet.gather import HOLD_S, Gather
from .packet.keyframes import KeyframeRequests
from .packet.rtcp import SenderReport
from .packet.rtp import HEADER_BYTES
from .packet.source import Carried, Continuity
from .ports import BroadcastId, BroadcastState
from .wire.fanout import Fanout, Lane
from .wire.peer import Clock, Handle

AUDIO, VIDEO, RTX = 0, 1, 2
"""The fan-out's names for our tracks."""
SILENT_S = 2.0
REPORT_EVERY_S = 2.0
_ROTA_MAX = 48
"""Reports in one turn: well under the fan-out's queue."""
_NTP = 1 << 32


class Track:
    """What outlives a publisher: numbers, caches, the clock of its last sender report."""

    def __init__(self, number: int, clock_rate_hz: int) -> None:
        self.number = number
        self.clock_rate_hz = clock_rate_hz
        self.ssrc = secrets.randbits(31) | 1
        self.codec: Codec | None = None
        self.continuity = Continuity()
        self.ring = Ring()
        self.newest = -1
        """The last packet that live viewers were sent."""
        self.lanes: tuple[Lane, ...] = ()
        self.packets = 0
        self.octets = 0
        self._clock_map: tuple[SenderReport, float] | None = None

    @property
    def codec_name(self) -> str:
        return self.codec.name if self.codec else ""

    def learn_clock(self, report: SenderReport, now: float) -> None:
        self._clock_map = (report, now)

    def forget_clock(self) -> None:
        self._clock_map = None

    def sender_report(self, now: float, cname: bytes) -> bytes:
        """A report for this moment, the same for every viewer; empty before the publisher's first."""
        if self._clock_map is None:
            return b""
        report, at = self._clock_map
        return rtcp.sender_report(
            SenderReport(
                self.ssrc,
                report.ntp + round((now - at) * _NTP),
                report.timestamp + round((now - at) * self.clock_rate_hz) & 0xFFFFFFFF,
                self.packets & 0xFFFFFFFF,
                self.octets & 0xFFFFFFFF,
            ),
            cname,
        )


class BroadcastPublisher(Protocol):
    def request_keyframe(self) -> None: ...

    def close(self, reason: str) -> None: ...


class BroadcastViewer(Protocol):
    lane: Lane | None
    is_live: bool

    def catch_up(self, now: float) -> None:
        """Goes on with the cached GOP; sets `is_live` when it has reached its end."""

    def covers_live(self, seq: int) -> bool:
        """The viewer is live, and `seq` falls into its current numbering."""

    def carry_late(self, carried: Carried) -> None: ...

    def codec_changed(self) -> None: ...

    def close(self, reason: str) -> None: ...


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
        self.viewers: dict[BroadcastViewer, None] = {}
        self.audience = 0
        """Viewers that are connected, not only announced."""
        self.audio = Track(AUDIO, 48000)
        self.video = Track(VIDEO, 90000)
        self.rtx_ssrc = secrets.randbits(31) | 1
        self.cname = secrets.token_hex(8).encode()
        self.profile_level_id = ""
        """Of the H.264 on air, as its publisher offered it."""
        self.gop = Gop()
        self.keyframes = KeyframeRequests()
        self._gather = Gather()
        self._flush_timer: Handle | None = None
        self._lanes_stale = False
        self._joining: list[BroadcastViewer] = []
        self._rota: deque[BroadcastViewer] = deque()
        self._rota_credit = 0.0
        self._fanout = fanout
        self._clock = clock
        self._owner = owner

    # The hot path

    def carry(self, track: Track, carried: Carried, now: float) -> None:
        """A packet from the publisher, in the relay's numbers."""
        track.ring.put(carried.seq, carried.packet, now)
        track.packets += 1
        track.octets += len(carried.packet) - HEADER_BYTES
        if self.state is not BroadcastState.LIVE:
            self._enter(BroadcastState.LIVE, now)
        if track is self.video:
            self._carry_video(carried, now)
        else:
            track.newest = max(track.newest, carried.seq)
            self._send(track, [carried.packet])

    def _carry_video(self, carried: Carried, now: float) -> None:
        if carried.starts_keyframe:
            self.keyframes.arrived()
        if carried.late and not self._gather.fits(carried, self.video.newest):
            self._carry_late(carried)
            return
        if self._gather.starts_another(carried):
            self._flush(now)
        if self._gather.add(carried):
            self._flush(now)
        elif self._flush_timer is None:
            self._flush_timer = self._clock.call_later(HOLD_S, self._flush_held)

    def _flush(self, now: float) -> None:
        frame = self._gather.take()
        for carried in frame:
            self.gop.add(carried, now)
        if frame:
            self.video.newest = frame[-1].seq
            self._send(self.video, [carried.packet for carried in frame])
        for viewer in self._joining:
            viewer.catch_up(now)

    def _send(self, track: Track, packets: list[bytes]) -> None:
        if self._lanes_stale:
            self._refresh_lanes()
        if track.lanes:
            self._fanout.send(track.number, packets, track.lanes, track.codec_name)

    def _carry_late(self, carried: Carried) -> None:
        self.gop.add_late(carried)
        lanes = []
        for viewer in self.viewers:
            if viewer.covers_live(carried.seq) and viewer.lane is not None:
                lanes.append(viewer.lane)
            else:
                viewer.carry_late(carried)
        self._fanout.send(VIDEO, (carried.packet,), lanes, self.video.codec_name)

    def _flush_held(self) -> None:
        self._flush_timer = None
        self._flush(self._clock.time())

    def _refresh_lanes(self) -> None:
        self._lanes_stale = False
        audio, video, joining = [], [], []
        for viewer in self.viewers:
            if viewer.lane is not None:
                audio.append(viewer.lane)
                if viewer.is_live:
                    video.append(viewer.lane)
                else:
                    joining.append(viewer)
        self.audio.lanes, self.video.lanes, self._joining = tuple(audio), tuple(video), joining

    # Who is there

    def join(self, viewer: BroadcastViewer) -> None:
        """The viewer is expected; it counts once it is connected."""
        self.viewers[viewer] = None

    def connected(self) -> None:
        """A viewer has its lane."""
        self._lanes_stale = True
        self._count(+1)

    def went_live(self) -> None:
        """A viewer has reached the end of the GOP."""
        self._lanes_stale = True

    def leave(self, viewer: BroadcastViewer, *, was_connected: bool) -> None:
        self.viewers.pop(viewer, None)
        self._lanes_stale = True
        if not self.viewers:
            self._rota.clear()
        if was_connected:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.audience += change
        self._owner.broadcast_changed(self)

    def request_keyframe(self, now: float) -> None:
        if self.keyframes.ask(now) and self.publisher is not None:
            self.publisher.request_keyframe()

    def source_started(self, track: Track, codec: Codec, now: float) -> None:
        """A publisher's stream begins: what is cached of an earlier one leads nowhere."""
        if track is self.video:
            self._flush(now)
            self.gop.clear()
        track.forget_clock()
        changed, track.codec = track.codec not in (None, codec), codec
        if changed:
            for viewer in list(self.viewers):
                viewer.codec_changed()

    def publisher_left(self, publisher: BroadcastPublisher, now: float) -> None:
        if self.publisher is publisher:
            self.publisher = None
            self.gone_silent(now)

    def gone_silent(self, now: float) -> None:
        self._flush(now)
        if self.state is BroadcastState.LIVE:
            self._enter(BroadcastState.AWAY, now)

    def sweep(self, now: float) -> None:
        """Every half second: notices silence, lets go of lanes that nothing was sent to since."""
        if self._lanes_stale:
            self._refresh_lanes()
        if now - max(self.audio.continuity.at, self.video.continuity.at) > SILENT_S:
            self.gone_silent(now)

    def end(self, reason: str) -> None:
        """Sends everyone away."""
        if self.publisher is not None:
            self.publisher.close(reason)
        for viewer in list(self.viewers):
            viewer.close(reason)
        self._enter(BroadcastState.IDLE, self._clock.time())

    def report(self, now: float, passed_s: float) -> None:
        """Sender reports to the viewers whose turn it is, so that sound and picture stay together."""
        if not self._rota:
            self._rota.extend(self.viewers)
        self._rota_credit += len(self.viewers) * passed_s / REPORT_EVERY_S
        turns = min(int(self._rota_credit), len(self._rota), _ROTA_MAX)
        self._rota_credit = min(self._rota_credit - turns, _ROTA_MAX)
        report = self.sender_reports(now) if turns else b""
        for _ in range(turns):
            lane = self._rota.popleft().lane
            if report and lane is not None:
                self._fanout.send_rtcp(lane, report)

    def sender_reports(self, now: float) -> bytes:
        """One compound for both tracks, as far as the publisher has told its clock."""
        return self.video.sender_report(now, self.cname) + self.audio.sender_report(now, self.cname)

    def _enter(self, state: BroadcastState, now: float) -> None:
        if self.state is not state:
            self.state, self.since = state, now
            self._owner.broadcast_changed(self)
