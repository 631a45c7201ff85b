from hypothesis import given
from hypothesis import strategies as st

from stream.packet import codecs, rtcp, rtp
from stream.packet.rtcp import Bye, KeyframeRequest, Nack, Remb, ReportBlock, SenderReport

packets = st.binary(max_size=200) | st.builds(
    lambda head, rest: bytes((head,)) + rest, st.integers(128, 191), st.binary(min_size=11, max_size=120)
)
ssrcs = st.integers(0, 2**32 - 1)
payload_types = st.integers(0, 63) | st.integers(96, 127)


@given(packets)
def test_no_datagram_breaks_the_parsers(packet):
    parsed = rtp.parse(packet)
    if parsed is not None:
        assert parsed.payload in packet
        for wanted in (1, 5, 14, 200):
            rtp.extension(parsed.extensions, wanted)
        for codec in codecs.CODECS.values():
            codec.starts_keyframe(parsed.payload)
        codecs.vp8_renumber(parsed.payload, 5, 5)
        rtp.unwrap_rtx(parsed.payload)
    rtcp.parse(packet)


@given(payload_types, st.booleans(), st.integers(0, 65535), ssrcs, ssrcs, st.binary(max_size=99))
def test_what_is_built_parses_to_the_same(payload_type, marker, seq, timestamp, ssrc, payload):
    parsed = rtp.parse(rtp.build(payload_type, marker, seq, timestamp, ssrc, payload))
    assert parsed == (payload_type, marker, seq, timestamp, ssrc, payload, b"")


def test_what_could_not_be_sent_on_is_not_taken():
    """Found by fuzzing: a packet larger than any we may send was numbered, then lost to everyone."""
    assert rtp.parse(rtp.build(96, True, 1, 1, 1, bytes(rtp.MAX_BYTES - rtp.HEADER_BYTES))) is not None
    assert rtp.parse(rtp.build(96, True, 1, 1, 1, bytes(rtp.MAX_BYTES - rtp.HEADER_BYTES + 1))) is None


def test_extensions_csrcs_and_padding_stay_at_the_door():
    packet = (
        bytes((0xB1, 0x60, 0, 1))
        + bytes(8)
        + b"CSRC"
        + bytes((0xBE, 0xDE, 0, 2))
        + bytes((0x10, 0xAA, 0x51, 1, 2, 0, 0, 0))
        + b"payload"
        + b"\0\0\3"
    )
    parsed = rtp.parse(packet)
    assert parsed.payload == b"payload"
    assert rtp.extension(parsed.extensions, 1) == b"\xaa"
    assert rtp.extension(parsed.extensions, 5) == b"\1\2"
    assert rtp.extension(parsed.extensions, 3) is None


def test_two_byte_extensions():
    extensions = bytes((0x10, 0, 0, 2, 7, 2, 9, 9, 0, 8, 0, 0))
    assert rtp.extension(extensions, 7) == b"\x09\x09"
    assert rtp.extension(extensions, 8) == b""


@given(st.integers(0, 65535), st.integers(-32767, 32767))
def test_ahead_is_the_distance_modulo_the_field(seq, step):
    assert rtp.ahead(seq, (seq + step) & 0xFFFF) == step


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=80, unique=True), ssrcs)
def test_nacks_carry_every_sequence_number(seqs, ssrc):
    (said,) = rtcp.parse(rtcp.nack(1, ssrc, sorted(seqs)))
    assert said == Nack(ssrc, tuple(sorted(seqs)))


def test_reports_survive_the_way():
    report = SenderReport(7, 0x1234567890ABCDEF, 99, 5, 500)
    block = ReportBlock(8, 12, -3, 70000, 44, 0xAABBCCDD, 65536)
    assert rtcp.parse(rtcp.sender_report(report, b"me") + rtcp.pli(1, 2) + rtcp.bye(3)) == [
        report,
        KeyframeRequest(2),
        Bye((3,)),
    ]
    assert rtcp.parse(rtcp.receiver_report(1, [block], b"abc")) == [block]


def test_remb_and_fir_are_understood():
    remb = (
        bytes((0x8F, 206, 0, 5)) + bytes(8) + b"REMB" + bytes((1, 2 << 2 | 1, 0, 0)) + (9).to_bytes(4, "big")
    )
    assert rtcp.parse(remb) == [Remb((1 << 16) << 2, (9,))]
    fir = bytes((0x84, 206, 0, 4)) + bytes(8) + (77).to_bytes(4, "big") + bytes(4)
    assert rtcp.parse(fir) == [KeyframeRequest(77)]


def test_keyframes_are_told_by_their_first_packet():
    h264, vp8 = codecs.H264.starts_keyframe, codecs.VP8.starts_keyframe
    assert h264(b"\x65\x88")
    assert h264(b"\x67")
    assert h264(bytes((24, 0, 2, 0x09, 0x10, 0, 1, 0x67)))
    assert h264(bytes((28, 0x85)))
    assert not h264(bytes((28, 0x05)))
    assert not h264(b"\x41")
    assert vp8(bytes((0x10, 0x00)))
    assert not vp8(bytes((0x10, 0x01)))
    assert not vp8(bytes((0x00, 0x00)))
    assert vp8(bytes((0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x00)))


@given(st.integers(0, 0x7FFF), st.integers(0, 255), st.integers(-40000, 40000), st.integers(-300, 300))
def test_vp8_numbers_move_on_modulo_their_fields(picture_id, tl0, by, tl0_by):
    payload = bytes((0x90, 0xC0)) + (0x8000 | picture_id).to_bytes(2, "big") + bytes((tl0, 0, 1, 2))
    moved = codecs.vp8_renumber(payload, by, tl0_by)
    assert codecs.vp8_numbers(moved) == ((picture_id + by) & 0x7FFF, (tl0 + tl0_by) & 0xFF)
    assert (moved[:2], moved[5:]) == (payload[:2], payload[5:])
