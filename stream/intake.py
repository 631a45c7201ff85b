"""What an upstream sends, into a broadcast: told apart, renumbered, asked for again.

Streams are told apart by payload type, which the answer made unique, and the layers of simulcast by their
`rid` (RFC 8852), which a browser sends until it has heard from us; the SSRC is learnt from the first packet.
What the answer did not name is dropped.

Whose upstream it is, a publisher's or the pull of an edge, makes no difference here but in two things:
streams of a pull are on one line of timestamps already (`offsets`), and each of its sessions has one layer.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .broadcast import Broadcast, Layer, Track
from .ends import BroadcastPublisher, BroadcastViewer
from .packet import rtcp, rtp
from .packet.codecs import H264, Codec
from .packet.keyframes import KeyframeRequests
from .packet.reception import Reception, in_order
from .packet.rtcp import Bye, SenderReport
from .packet.rtp import Rtp
from .packet.source import Source
from .packet.twcc import ArrivalLog
from .signal.answer import REPAIRED_STREAM_ID, STREAM_ID, TRANSPORT_CC, Offer

TURN_S = 0.025
"""Between two looks at what is missing or to be reported."""
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


class Intake:
    """Fed by one peer of `owner`; `send` takes our RTCP and says whether it went out.

    `layer` is the one layer of a pull's session; None: those that the offer names. `offsets` are the
    timestamp offsets by kind that all sessions of one pull share; None: every stream finds its own.
    """

    def __init__(
        self,
        owner: BroadcastPublisher,
        broadcast: Broadcast,
        offer: Offer,
        send: Callable[[bytes], bool],
        *,
        layer: Layer[BroadcastViewer] | None = None,
        offsets: dict[str, int] | None = None,
    ) -> None:
        self.broadcast = broadcast
        self.counts: Counter[str] = Counter()
        self.last_at = 0.0
        self._owner = owner
        self._send = send
        self._offsets = offsets
        self._ssrc = secrets.randbits(31) | 1
        self._announced: dict[int, Announced] = {}
        self._layers: dict[str, Layer[BroadcastViewer]] = {}
        self._layer_by_ssrc: dict[int, Layer[BroadcastViewer]] = {}
        self._stream_id = self._repaired_stream_id = 0
        self._repairs: dict[int, int] = {}
        self._sources: dict[Track, Source] = {}
        self._arrivals = ArrivalLog()
        self._transport_cc = 0
        self._profiles: dict[int, str] = {}
        self._inheriting = KeyframeRequests()
        self._turns = 0
        self._announce(offer, layer)

    @property
    def has_picture(self) -> bool:
        """A keyframe has come, and what refers to it goes on to viewers."""
        return any(source.started for track, source in self._sources.items() if isinstance(track, Layer))

    def _announce(self, offer: Offer, layer: Layer[BroadcastViewer] | None) -> None:
        if layer is None:
            rids = offer.video.rids
            layers = self.broadcast.announce(rids or [""])
            self._layers, layer = dict(zip(rids, layers, strict=False)), self.broadcast.video
        self._stream_id = offer.video.extensions.get(STREAM_ID, 0)
        self._repaired_stream_id = offer.video.extensions.get(REPAIRED_STREAM_ID, 0)
        for media in filter(None, (offer.video, offer.audio)):
            track = layer if media.kind == "video" else self.broadcast.audio
            for choice in media.choices:
                self._announced[choice.payload_type] = Announced(track, choice.codec)
                if choice.rtx_payload_type is not None:
                    self._repairs[choice.rtx_payload_type] = choice.payload_type
                if choice.codec is H264:
                    profile = choice.format.parameters.get("profile-level-id", "").lower()
                    self._profiles[choice.payload_type] = profile
            self._transport_cc = media.extensions.get(TRANSPORT_CC, self._transport_cc)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        self.last_at = now
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
        if source is None or not _is_of(source, parsed.ssrc, announced.codec):
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
        if source.started:
            return True
        if self._offsets is not None and source.codec.kind in self._offsets:
            source.timestamp_offset = self._offsets[source.codec.kind]
            return True
        if not isinstance(track, Layer):
            return True
        for other_track, other in self._sources.items():
            if isinstance(other_track, Layer) and other.started:
                return source.align(other, packet.timestamp, now)
        track.continuity.follow(layer.continuity for layer in self.broadcast.layers)
        return True

    def _carry(self, announced: Announced, source: Source, packet: Rtp, now: float) -> None:
        track = announced.track
        if not self._is_in_step(track, source, packet, now):
            return
        starts = not source.started and _can_start(announced.codec, packet.payload)
        if starts:
            if not self._is_in_charge(announced, now):
                return
            self._source_starts(announced, packet.payload_type, now)
        carried = source.take(packet, now)
        if starts and self._offsets is not None:
            self._offsets.setdefault(announced.codec.kind, source.timestamp_offset)
        if carried is not None:
            for head in source.take_heads():
                self.broadcast.carry(track, head, now)
            self.broadcast.carry(track, carried, now)
        elif source.awaits_keyframe and isinstance(track, Layer):
            self._await_keyframe(track, now)

    def _is_in_charge(self, announced: Announced, now: float) -> bool:
        """Whether a stream of ours may start. While another upstream is on air, a keyframe of ours takes its
        place, and nothing else does: viewers see one picture go on."""
        if self.broadcast.publisher is self._owner:
            return True
        if announced.codec.kind == "video":
            self.broadcast.succeed(self._owner, now)
        return announced.codec.kind == "video"

    def _await_keyframe(self, layer: Layer[BroadcastViewer], now: float) -> None:
        if self.broadcast.publisher is self._owner:
            self.broadcast.request_keyframe(now, layer)
        elif self._inheriting.ask(now):
            self.request_keyframe(layer)

    def _source_for(self, announced: Announced, held: Source | None, ssrc: int, now: float) -> Source | None:
        """The source to begin for a new SSRC; None while the one we know still sends."""
        if held is not None and _still_sends(held, announced.codec, now):
            return None
        source = Source(ssrc, announced.codec, announced.track.continuity)
        self._sources[announced.track] = source
        return source

    def _source_starts(self, announced: Announced, payload_type: int, now: float) -> None:
        if announced.codec is H264:
            self.broadcast.profile_level_id = self._profiles.get(payload_type, "")
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
        elif original is not None and source.reception.misses(original[0]):
            repaired = packet._replace(seq=original[0], payload=original[1])
            self._carry(announced, source, repaired, now)

    def _note_arrival(self, extensions: bytes, now: float) -> None:
        value = rtp.extension(extensions, self._transport_cc)
        if value is not None and len(value) == 2:
            self._arrivals.arrived(int.from_bytes(value, "big"), now)

    def receive_rtcp(self, compound: bytes, now: float) -> None:
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
                    self.broadcast.publisher_silent(self._owner, now)

    def receptions(self) -> Iterator[tuple[str, Reception]]:
        """How each stream gets through, by `audio`, `video` or the layer's rid."""
        for track, source in self._sources.items():
            yield getattr(track, "rid", "") or source.codec.kind, source.reception

    # What is asked of the other side

    def request_keyframe(self, layer: Layer[BroadcastViewer]) -> None:
        source = self._sources.get(layer)
        if source is not None and self._send(rtcp.pli(self._ssrc, source.reception.ssrc)):
            self.counts["pli_sent"] += 1

    def take_turn(self, now: float) -> None:
        """Every `TURN_S` while the peer is connected."""
        self._turns += 1
        self._ask_again(now)
        if self._turns % _TRANSPORT_FEEDBACK_TURNS == 0:
            self._send_transport_feedback()
        if self._turns % _REPORT_TURNS == 0:
            self._send_report(now)

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


def _is_of(source: Source, ssrc: int, codec: Codec) -> bool:
    reception = source.reception
    return reception.ssrc == ssrc and source.codec is codec and not reception.lost_track


def _still_sends(source: Source, codec: Codec, now: float) -> bool:
    reception = source.reception
    is_silent = now - reception.last_at >= _SOURCE_SILENT_S
    return source.codec is codec and not reception.lost_track and not is_silent


def _can_start(codec: Codec, payload: bytes) -> bool:
    return codec.kind == "audio" or codec.starts_keyframe(payload)
