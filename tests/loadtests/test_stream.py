"""The synthetic stream and what a viewer makes of it."""

import random
import time

import pytest

from loadtests.relay.signalling import AUDIO, VIDEO, Ice, offer, read_answer
from loadtests.relay.stream import AudioTrack, Shape, VideoTrack, payload, read_marks, rtp, stamp
from loadtests.relay.watch import Watch, percentile
from stream.packet.codecs import H264
from stream.signal.answer import read_publisher_offer, read_viewer_offer


def frames(count: int, shape: Shape | None = None) -> list[list[bytes]]:
    track = VideoTrack(shape or Shape(), ssrc=1, payload_type=VIDEO, seq=65_500)
    return [track.frame() for _ in range(count)]


@pytest.mark.parametrize("bitrate", [600_000, 2_500_000, 8_000_000])
def test_the_bitrate_is_kept_over_a_gop(bitrate: int) -> None:
    shape = Shape(bitrate=bitrate)
    octets = sum(len(packet) for frame in frames(shape.gop, shape) for packet in frame)
    assert octets * 8 / shape.keyframe_every_s == pytest.approx(bitrate, rel=0.02)


def test_a_keyframe_has_its_packets_and_a_relay_sees_it() -> None:
    first, *others = frames(60)
    assert len(first) == 1 + 50  # parameter sets, then the slice
    assert H264.starts_keyframe(memoryview(payload(first[0])))
    assert not any(H264.starts_keyframe(memoryview(payload(packet))) for frame in others for packet in frame)


def test_a_keyframe_that_is_asked_for_comes_next() -> None:
    track = VideoTrack(Shape(), ssrc=1, payload_type=VIDEO)
    sizes = [len(track.frame()) for _ in range(3)]
    track.request_keyframe()
    assert (sizes[0], len(track.frame()), len(track.frame())) == (51, 51, sizes[1])


def test_the_last_packet_alone_has_the_marker() -> None:
    for frame in frames(3):
        assert [packet[1] >> 7 for packet in frame] == [0] * (len(frame) - 1) + [1]


def test_a_stamp_is_all_that_changes() -> None:
    packet = frames(1)[0][1]
    stamped = stamp(packet, 12345)
    assert read_marks(payload(stamped)) == [(0, 0, 50, 12345)]
    assert stamp(stamped, 0) == packet
    assert not read_marks(payload(AudioTrack(1, AUDIO).packet()))


def test_a_slice_has_no_start_code_in_it() -> None:
    # H.264 7.4.1: depacketisers split a unit there.
    for packet in (stamp(packet, 1) for frame in frames(3)[1:] for packet in frame):
        assert not any(code in payload(packet) for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2", b"\0\0\3"))


def test_a_frame_of_one_packet_is_no_fragment() -> None:
    track = VideoTrack(Shape(bitrate=200_000, keyframe_packets=1), ssrc=1, payload_type=VIDEO)
    (_, key), (delta,) = track.frame(), track.frame()
    assert [payload(packet)[0] & 0x1F for packet in (key, delta)] == [5, 1]
    watch = watched([stamp(packet, 1_000_000) for packet in (key, delta)])
    assert (watch.frames, len(watch.key_delays_ms), len(watch.delta_delays_ms)) == (2, 1, 1)


def watched(packets: list[bytes], each_ns: int = 1_000_000) -> Watch:
    watch = Watch(since_ns=1)
    for i, packet in enumerate(packets):
        watch.take(packet, 5_000_000 + i * each_ns)
    return watch


def stamped(count: int) -> list[bytes]:
    return [stamp(packet, 1_000_000) for frame in frames(count) for packet in frame]


def test_a_whole_stream_has_no_faults() -> None:
    watch = watched(stamped(90))
    assert (watch.video.lost, watch.video.reordered, watch.video.repeated) == (0, 0, 0)
    assert (watch.frames, len(watch.key_delays_ms), len(watch.delta_delays_ms)) == (90, 2, 88)
    assert watch.first_keyframe_ns == 5_000_000 + 50 * 1_000_000


def test_loss_order_and_repeats_are_counted() -> None:
    packets = stamped(3)
    del packets[20:23]
    packets[30], packets[31] = packets[31], packets[30]
    packets.insert(40, packets[40])
    watch = watched(packets)
    assert (watch.video.lost, watch.video.reordered, watch.video.repeated) == (3, 1, 1)
    assert watch.frames == 2


def test_any_order_loses_nothing() -> None:
    packets = stamped(2)
    random.Random(1).shuffle(packets)
    assert watched(packets).video.lost == 0


def test_a_relay_may_cut_frames_anew() -> None:
    packets = cut_anew(stamped(90), size=700)
    watch = watched(packets)
    assert (watch.video.lost, watch.frames, watch.pictures.lost) == (0, 90, 0)
    assert (len(watch.key_delays_ms), len(watch.delta_delays_ms)) == (2, 88)
    assert watch.first_keyframe_ns == 5_000_000 + 84 * 1_000_000
    del packets[100:110]  # before they were numbered: a frame too few, no packet
    renumbered = [packet[:2] + seq.to_bytes(2, "big") + packet[4:] for seq, packet in enumerate(packets)]
    watch = watched(renumbered)
    assert watch.video.lost == 0
    assert watch.pictures.lost == 90 - watch.frames > 0


def cut_anew(packets: list[bytes], size: int) -> list[bytes]:
    """As relays do that put access units together and cut them by a size of their own."""
    by_frame: dict[bytes, list[bytes]] = {}
    for packet in packets:
        by_frame.setdefault(packet[4:8], []).append(payload(packet))
    cut: list[bytes] = []
    for at, fragments in by_frame.items():
        units = [fragment for fragment in fragments if fragment[0] & 0x1F != 28]
        body = b"".join(fragment[2:] for fragment in fragments if fragment[0] & 0x1F == 28)
        kind = fragments[-1][1] & 0x1F
        for start in range(0, len(body), size):
            flags = 0x80 * (start == 0) | 0x40 * (start + size >= len(body))
            units.append(bytes((0x7C, flags | kind)) + body[start : start + size])
        timestamp = int.from_bytes(at, "big")
        cut += [rtp(VIDEO, len(cut) + i, timestamp, 9, unit, marker=False) for i, unit in enumerate(units)]
    return cut


def test_padding_is_no_payload() -> None:
    packet = bytearray(frames(2)[1][0] + b"\0\0\3")
    packet[0] |= 0x20
    assert payload(bytes(packet)) == payload(frames(2)[1][0])


def test_a_replayed_keyframe_has_no_delay() -> None:
    watch = Watch(since_ns=time.time_ns())
    for packet in stamped(1):
        watch.take(packet, time.time_ns())
    assert (watch.frames, watch.key_delays_ms, bool(watch.first_keyframe_ns)) == (1, [], True)


def test_percentiles_are_nearest_rank() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0, 50, 95, 100)] == [1.0, 2.0, 3.0, 3.0]
    assert percentile([], 50) == 0.0


def test_our_offers_are_good_offers() -> None:
    fingerprint = ":".join(["AB"] * 32)
    assert read_viewer_offer(offer(Ice(), fingerprint, "recvonly", {})).video.choices[0].payload_type == VIDEO
    published = read_publisher_offer(offer(Ice(), fingerprint, "sendonly", {"video": 1, "audio": 2}))
    assert published.audio is not None
    assert published.video.choices[0].codec is H264


ANSWER = """v=0\r
o=- 1 2 IN IP4 0.0.0.0\r
s=-\r
t=0 0\r
a=ice-lite\r
m=audio 9 UDP/TLS/RTP/SAVPF 111\r
a=ice-ufrag:abcd\r
a=ice-pwd:secretsecretsecret\r
a=fingerprint:sha-256 ab:cd\r
a=setup:passive\r
a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host\r
a=candidate:2 1 tcp 1 192.0.2.1 7000 typ host tcptype passive\r
a=ssrc:5 cname:x\r
m=video 9 UDP/TLS/RTP/SAVPF 102\r
a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host\r
a=ssrc:7 cname:x\r
"""


def test_an_answer_is_read() -> None:
    answer = read_answer(ANSWER)
    assert answer.ice == Ice("abcd", "secretsecretsecret")
    assert (answer.digest, answer.fingerprint) == ("sha256", "AB:CD")
    assert (answer.candidates, answer.is_dtls_client) == ([("192.0.2.1", 7000)], False)
    assert answer.ssrcs == {"audio": 5, "video": 7}
    assert answer.payload_types == {"audio": 111, "video": 102}


def test_an_answer_may_renumber_and_refuse_the_sound() -> None:
    text = ANSWER.replace("audio 9", "audio 0").replace("SAVPF 102", "SAVPF 96 97")
    assert read_answer(text).payload_types == {"video": 96}
    with pytest.raises(ValueError, match="no video"):
        read_answer(ANSWER.replace("video 9", "video 0"))


@pytest.mark.parametrize("without", ["ice-pwd", "fingerprint", "udp"])
def test_an_answer_that_lacks_something_is_named(without: str) -> None:
    lines = [line for line in ANSWER.split("\r\n") if without not in line or line.startswith("m=")]
    with pytest.raises(ValueError, match="the answer has no"):
        read_answer("\r\n".join(lines))
