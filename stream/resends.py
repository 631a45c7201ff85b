"""What one viewer is sent once more: what it asks for again, and what came to us late.

With RTX where it was agreed to, else the very packet, under the numbers and in the codec of the first time: a
sequence number never stands for two plaintexts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .broadcast import RTX, VIDEO, Broadcast
from .packet import rtp
from .packet.codecs import vp8_renumber
from .packet.forwarder import Forwarder, Span
from .packet.repeats import Repeats
from .packet.rtcp import Nack
from .signal.answer import Choice
from .wire.fanout import Fanout, Lane, Numbering


def numbering(span: Span, ssrc: int) -> Numbering:
    return Numbering(
        ssrc, span.payload_type, span.seq_delta, span.timestamp_delta, span.picture_id_delta, span.tl0_delta
    )


class Resends:
    """`counts` are the viewer's: `nacked`, `resent` and `not_resent` are counted here."""

    def __init__(
        self,
        broadcast: Broadcast,
        choices: Iterable[Choice],
        forwarder: Forwarder,
        fanout: Fanout,
        counts: Counter[str],
        now: float,
    ) -> None:
        self._broadcast = broadcast
        self._choices = {choice.payload_type: choice for choice in choices}
        self._forwarder = forwarder
        self._fanout = fanout
        self._counts = counts
        self._repeats = Repeats(now)
        self._rtx_seq = 0

    def answer(self, nack: Nack, lane: Lane, newest: int, round_trip_s: float, now: float) -> None:
        """`newest` is the last packet that the viewer was sent, as the relay counts."""
        self._counts["nacked"] += len(nack.seqs)
        for out_seq in nack.seqs:
            found = self._forwarder.find(out_seq, newest)
            packet = self._kept(*found) if found else None
            copies = self._repeats.count(out_seq, now, round_trip_s) if packet else 0
            self._counts["resent" if copies else "not_resent"] += copies or 1
            if packet is not None and found is not None:
                for _ in range(copies):
                    self._send_again(packet, found[1], lane)

    def repeat(self, packet: bytes, span: Span, lane: Lane) -> None:
        codec = self._choices[span.payload_type].codec.name
        self._fanout.resend(lane, VIDEO, (packet,), numbering(span, self._broadcast.video.ssrc), codec)

    def _kept(self, seq: int, span: Span) -> bytes | None:
        layer = self._broadcast.layers[span.layer]
        return layer.ring.get(seq) or layer.gop.get(seq)

    def _send_again(self, packet: bytes, span: Span, lane: Lane) -> None:
        payload_type = self._choices[span.payload_type].rtx_payload_type
        if payload_type is None:
            self.repeat(packet, span, lane)
            return
        self._rtx_seq += 1
        again = self._as_rtx(packet, span, payload_type)
        self._fanout.resend(lane, RTX, (again,), Numbering(self._broadcast.rtx_ssrc, payload_type, 0, 0))

    def _as_rtx(self, packet: bytes, span: Span, payload_type: int) -> bytes:
        _, marker, seq, timestamp, _ = rtp.HEADER.unpack_from(packet)
        original = (seq + span.seq_delta) & 0xFFFF
        payload = packet[rtp.HEADER_BYTES :]
        if span.picture_id_delta or span.tl0_delta:  # only VP8 has them
            payload = vp8_renumber(payload, span.picture_id_delta, span.tl0_delta)
        return rtp.build(
            payload_type,
            marker > 127,
            self._rtx_seq,
            timestamp + span.timestamp_delta,
            self._broadcast.rtx_ssrc,
            original.to_bytes(2, "big") + payload,
        )
