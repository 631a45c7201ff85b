"""One publisher session: its packets into the broadcast, our feedback back to it.

Its streams are told apart by payload type, which the answer made unique, and the layers of simulcast by their
`rid` (RFC 8852), which a browser sends until it has heard from us; the SSRC is learnt from the first packet.
What the answer did not name is dropped.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .broadcast import Broadcast, BroadcastViewer, Layer, Track
from .packet import rtcp, rtp
from .packet.codecs import H264, Codec
from .packet.reception import in_order
from .packet.rtcp import Bye, SenderReport
from .packet.rtp import Rtp
from .packet.source import Source
from .packet.twcc import ArrivalLog
from .ports import Grant
from .signal.answer import REPAIRED_STREAM_ID, STREAM_ID, TRANSPORT_CC, Offer
from .wire.fanout import Fanout, Lane
from .wire.peer import Clock, Handle, Peer

TURN_S = 0.025
"""Between two looks at what is missing, due or to be reported."""
_TRANSPORT_FEEDBACK_TURNS = 2
_REPORT_TURNS = 40
_SOURCE_SILENT_S = 1.0
"""A stream may be replaced under the same payload type when it has been silent this long."""
_NACKS_A_PACKET = 64
_MAX_SSRCS = 64
"""Learnt by name in one session: layers and their repair streams, a few times over."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the answer promised to carry under one payload type."""

    track: Track
    codec: Codec


class Publisher:
    """`on_closed` is called last, when nothing of the session is left."""

    kind = "whip"

    def __init__(
        self,
        session: str,
        grant: Grant,
        broadcast: Broadcast,
        offer: Offer,
        peer: Peer,
        fanout: Fanout,
        clock: Clock,
        on_closed: Callable[[Publisher, str], None],
    ) -> None:
        self.session = session
        self.grant = grant
        self.broadcast = broadcast
        self.peer = peer
        self.lane: Lane | None = None
        self.counts: Counter[str] = Counter()
        self._fanout = fanout
        self._clock = clock
        self._on_closed = on_closed
        self._ssrc = secrets.randbits(31) | 1
        self._announced: dict[int, Announced] = {}
        self._layers: dict[str, Layer[BroadcastViewer]] = {}
        self._layer_by_ssrc: dict[int, Layer[BroadcastViewer]] = {}
        self._stream_id = self._repaired_stream_id = 0
        self._repairs: dict[int, int] = {}
        self._sources: dict[Track, Source] = {}
        self._arrivals = ArrivalLog()
        self._transport_cc = 0
        self._profile_level_id = ""
        self._timer: Handle | None = None
        self._turns = 0
        self._announce(offer)
        peer.owner = self

    def _announce(self, offer: Offer) -> None:
        rids = offer.video.rids
        self._layers = dict(zip(rids, self.broadcast.announce(rids or [""]), strict=False))
        self._stream_id = offer.video.extensions.get(STREAM_ID, 0)
        self._repaired_stream_id = offer.video.extensions.get(REPAIRED_STREAM_ID, 0)
        for media in filter(None, (offer.video, offer.audio)):
            track = self.broadcast.video if media.kind == "video" else self.broadcast.audio
            for choice in media.choices:
                self._announced[choice.payload_type] = Announced(track, choice.codec)
                if choice.rtx_payload_type is not None:
                    self._repairs[choice.rtx_payload_type] = choice.payload_type
                if choice.codec is H264:
                    self._profile_level_id = choice.format.parameters.get("profile-level-id", "").lower()
            self._transport_cc = media.extensions.get(TRANSPORT_CC, self._transport_cc)

    @property
    def generation(self) -> str:
        """The newest ICE generation: it changes with each restart, and with nothing else."""
        return self.peer.ice.generations[-1].ufrag

    # From the peer

    def peer_connected(self, lane: Lane) -> None:
        self.lane = lane
        self._timer = self._clock.call_later(TURN_S, self._take_turn)

    def peer_sent_rtp(self, packet: bytes, now: float) -> None:
        parsed = rtp.parse(packet)
        if parsed is None:
            self.counts["malformed"] += 1
            return
        if self._transport_cc and parsed.extensions:
            self._note_arrival(parsed.extensions, now)
        announced = self._announced.get(parsed.payload_type)
        if announced is None:
            self._take_repair(parsed, now)
            return
        if self._layers and announced.codec.kind == "video":
            layer = self._layer_of(parsed, self._stream_id)
            if layer is None:
                self.counts["layer_unknown"] += 1
                return
            announced = Announced(layer, announced.codec)
        source = self._sources.get(announced.track)
        if source is None or source.reception.ssrc != parsed.ssrc or source.reception.lost_track:
            source = self._source_for(announced, source, parsed.ssrc, now)
            if source is None:
                self.counts["second_source"] += 1
                return
        self._carry(announced, source, parsed, now)

    def _layer_of(self, packet: Rtp, identifier: int) -> Layer[BroadcastViewer] | None:
        """By the SSRC, once a packet has named its layer."""
        named = rtp.extension(packet.extensions, identifier) if packet.extensions and identifier else None
        layer = self._layers.get(named.decode(errors="replace")) if named is not None else None
        if layer is None:
            return self._layer_by_ssrc.get(packet.ssrc)
        if len(self._layer_by_ssrc) < _MAX_SSRCS:
            self._layer_by_ssrc[packet.ssrc] = layer
        return layer

    def _is_in_step(self, track: Track, source: Source, packet: Rtp, now: float) -> bool:
        """A layer starts once its timestamps can be put on the line of those that have started."""
        if source.started or not isinstance(track, Layer):
            return True
        for other_track, other in self._sources.items():
            if isinstance(other_track, Layer) and other.started:
                return source.align(other, packet.timestamp, now)
        track.continuity.follow(layer.continuity for layer in self.broadcast.layers)
        return True

    def _carry(self, announced: Announced, source: Source, packet: Rtp, now: float) -> None:
        if not self._is_in_step(announced.track, source, packet, now):
            return
        if not source.started and (
            announced.codec.kind == "audio" or announced.codec.starts_keyframe(packet.payload)
        ):
            self._source_starts(announced, now)
        carried = source.take(packet, now)
        if carried is not None:
            for head in source.take_heads():
                self.broadcast.carry(announced.track, head, now)
            self.broadcast.carry(announced.track, carried, now)
        elif source.awaits_keyframe and isinstance(announced.track, Layer):
            self.broadcast.request_keyframe(now, announced.track)

    def _source_for(self, announced: Announced, held: Source | None, ssrc: int, now: float) -> Source | None:
        """The source to begin for a new SSRC; None while the one we know still sends."""
        still_sends = held is not None and now - held.reception.last_at < _SOURCE_SILENT_S
        if held is not None and still_sends and not held.reception.lost_track:
            return None
        source = Source(ssrc, announced.codec, announced.track.continuity)
        self._sources[announced.track] = source
        return source

    def _source_starts(self, announced: Announced, now: float) -> None:
        if announced.codec is H264:
            self.broadcast.profile_level_id = self._profile_level_id
        self.broadcast.source_started(announced.track, announced.codec, now)

    def _take_repair(self, packet: Rtp, now: float) -> None:
        """RTX: the packet that was asked for again, in its own stream (RFC 4588)."""
        announced = self._announced.get(self._repairs.get(packet.payload_type, -1))
        if self._layers and announced is not None:
            layer = self._layer_of(packet, self._repaired_stream_id)
            announced = Announced(layer, announced.codec) if layer is not None else None
        source = self._sources.get(announced.track) if announced is not None else None
        original = rtp.unwrap_rtx(packet.payload)
        if announced is None or source is None:
            self.counts["unannounced"] += 1
        elif original is not None:
            repaired = packet._replace(seq=original[0], payload=original[1])
            self._carry(announced, source, repaired, now)

    def _note_arrival(self, extensions: bytes, now: float) -> None:
        value = rtp.extension(extensions, self._transport_cc)
        if value is not None and len(value) == 2:
            self._arrivals.arrived(int.from_bytes(value, "big"), now)

    def peer_sent_rtcp(self, compound: bytes, now: float) -> None:
        for report in rtcp.parse(compound):
            if isinstance(report, SenderReport):
                self._learn_clock(report, now)
            elif isinstance(report, Bye):
                self._bye(report, now)

    def _learn_clock(self, report: SenderReport, now: float) -> None:
        for track, source in self._sources.items():
            if source.reception.ssrc == report.ssrc:
                ours = source.sender_report(report, now)
                if ours is not None:
                    shared = self.broadcast.video if isinstance(track, Layer) else track
                    shared.learn_clock(ours, now)

    def _bye(self, bye: Bye, now: float) -> None:
        """A stream has ended; without its video a broadcast is away at once, not after the silence."""
        for track, source in list(self._sources.items()):
            if source.reception.ssrc in bye.ssrcs:
                del self._sources[track]
                if isinstance(track, Layer) and not any(isinstance(left, Layer) for left in self._sources):
                    self.broadcast.gone_silent(now)

    def peer_closed(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.lane = None
        self.broadcast.publisher_left(self, self._clock.time())
        self._on_closed(self, reason)

    def close(self, reason: str) -> None:
        self.peer.close(reason)

    # To the peer

    def request_keyframe(self, layer: Layer[BroadcastViewer]) -> None:
        source = self._sources.get(layer)
        if source is not None and self._send(rtcp.pli(self._ssrc, source.reception.ssrc)):
            self.counts["pli_sent"] += 1

    def _take_turn(self) -> None:
        self._timer = self._clock.call_later(TURN_S, self._take_turn)
        now = self._clock.time()
        self._turns += 1
        self._ask_again(now)
        if self._turns % _TRANSPORT_FEEDBACK_TURNS == 0:
            self._send_transport_feedback()
        if self._turns % _REPORT_TURNS == 0:
            self._send_report(now)
        for layer in self.broadcast.layers:
            if layer.keyframes.due(now):
                self.request_keyframe(layer)
        self.broadcast.report(now, TURN_S)

    def _ask_again(self, now: float) -> None:
        for track, source in self._sources.items():
            reception = source.reception
            if not reception.has_gaps:
                continue
            before = reception.given_up
            for seqs in in_order(reception.wanted(now), _NACKS_A_PACKET):
                self.counts["nacked"] += len(seqs)
                self._send(rtcp.nack(self._ssrc, reception.ssrc, seqs))
            if reception.given_up > before:
                self.counts["given_up"] += reception.given_up - before
                if isinstance(track, Layer):
                    self.broadcast.request_keyframe(now, track)  # every viewer's picture is broken there

    def _send_transport_feedback(self) -> None:
        fci = self._arrivals.feedback()
        if fci is not None:
            videos = (
                held.reception.ssrc for track, held in self._sources.items() if isinstance(track, Layer)
            )
            self._send(rtcp.transport_feedback(self._ssrc, next(videos, 0), fci))

    def _send_report(self, now: float) -> None:
        blocks = [source.reception.report(now) for source in self._sources.values()]
        self._send(rtcp.receiver_report(self._ssrc, blocks, self.broadcast.cname))

    def _send(self, packet: bytes) -> bool:
        return self.lane is not None and self._fanout.send_rtcp(self.lane, packet)
