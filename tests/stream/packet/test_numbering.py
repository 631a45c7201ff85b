"""Sources, caches and forwarders: whatever is lost, doubled or overtaken, numbers stay unique and gapless."""

from hypothesis import given
from hypothesis import strategies as st

from stream.packet import rtp
from stream.packet.cache import GOP_S, RING_PACKETS, Gop, Ring
from stream.packet.codecs import H264, VP8
from stream.packet.forwarder import Forwarder, squeeze
from stream.packet.gather import MAX_PACKETS, Gather
from stream.packet.keyframes import INTERVAL_S, MAX_TRIES, KeyframeRequests
from stream.packet.reception import GIVE_UP_S, MAX_JUMP, MAX_MISSING, RETRY_S, Reception
from stream.packet.rtp import Rtp
from stream.packet.source import Carried, Continuity, Source


def packet(seq, timestamp=0, payload=b"\x65", marker=False, ssrc=1):
    return Rtp(96, marker, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload, b"")


def carried(seq, timestamp, *, key=False, late=False, marker=False):
    return Carried(seq, timestamp, marker, key, late, rtp.build(0, marker, seq, timestamp, 0, b"x"))


@given(st.lists(st.integers(-40, 40), max_size=200), st.integers(0, 65535))
def test_a_source_never_gives_one_number_to_two_packets(steps, start):
    source, seq, seen = Source(1, H264, Continuity()), start, {}
    for step in steps:
        seq = (seq + step) & 0xFFFF
        out = source.take(packet(seq), 0.0)
        if out is not None:
            assert out.seq not in seen
            seen[out.seq] = seq
            assert out.seq & 0xFFFF == seq, "the first session's numbers are the relay's"


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.floats(0.1, 500))
def test_a_second_session_goes_on_where_the_first_one_was(seq, timestamp, pause_s):
    held = Continuity()
    first = Source(1, H264, held)
    last = [first.take(packet(65530 + i, 1000 + 3000 * i), i / 30) for i in range(10)][-1]
    second = Source(2, H264, held)
    at = 9 / 30 + pause_s
    assert second.take(packet(seq, timestamp, b"\x41"), at) is None, "not a keyframe yet"
    out = second.take(packet(seq + 1, timestamp), at)
    assert out.seq == last.seq + 1
    assert rtp.ahead32(last.timestamp, out.timestamp) == round(pause_s * 90000)


def test_vp8_picture_ids_go_on_across_sessions():
    def payload(picture_id, tl0, key):
        return bytes((0x90, 0xC0)) + (0x8000 | picture_id).to_bytes(2, "big") + bytes((tl0, not key))

    held = Continuity()
    Source(1, VP8, held).take(packet(1, 0, payload(0x7FFF, 255, True)), 0)
    out = Source(2, VP8, held).take(packet(9, 0, payload(77, 9, True)), 1)
    assert out.packet[12:] == payload(0, 0, True)


def test_what_came_before_the_keyframe_stays_out_even_late():
    source = Source(1, H264, Continuity())
    source.take(packet(9, 0, b"\x41"), 0)
    assert source.take(packet(11), 0) is not None
    assert source.take(packet(10, 0, b"\x41"), 0) is None


def test_gaps_are_asked_for_after_a_moment_and_again_until_given_up():
    reception = Reception(1, 90000)
    reception.accept(10, 0, 0.0)
    first = reception.accept(14, 0, 1.0)
    assert reception.wanted(1.0) == []
    assert reception.wanted(1.011) == [first - 3, first - 2, first - 1]
    assert reception.accept(12, 0, 1.02) == first - 2
    assert reception.wanted(1.03) == []
    assert reception.wanted(1.02 + RETRY_S) == [first - 3, first - 1]
    assert reception.wanted(1.0 + GIVE_UP_S + 0.01) == []
    assert not reception.has_gaps
    assert reception.given_up == 2
    assert reception.accept(12, 0, 3) is None, "a repeat"


def test_a_sender_that_starts_over_is_noticed_and_noise_is_not():
    reception = Reception(1, 90000)
    reception.accept(10, 0, 0)
    reception.accept(10 + MAX_JUMP, 0, 0)
    reception.accept(11, 0, 0)
    assert not reception.lost_track
    for seq in range(3):
        reception.accept(30000 + seq, 0, 0)
    assert reception.lost_track


def test_a_sender_that_starts_over_a_little_lower_is_noticed_and_repeats_are_not():
    reception = Reception(1, 90000)
    for seq in range(2000, 2200):
        reception.accept(seq, 0, 0)
        assert reception.accept(seq, 0, 0) is None
    assert not reception.lost_track
    for seq in range(100, 200):
        reception.accept(seq, 0, 0)
    assert reception.lost_track


def test_of_many_gaps_the_newest_are_asked_for():
    reception = Reception(1, 90000)
    reception.accept(10, 0, 0)
    reception.accept(100, 0, 0)
    newest = reception.accept(2900, 0, 0)
    assert reception.wanted(0.02) == list(range(newest - MAX_MISSING, newest))


def test_only_a_gap_can_be_filled():
    reception = Reception(1, 90000)
    for seq in (65_534, 1):
        reception.accept(seq, 0, 0)
    assert [seq for seq in (65_533, 65_534, 65_535, 0, 1, 2, 30_000) if reception.misses(seq)] == [65_535, 0]


def test_reception_reports_loss_since_the_last_one():
    reception = Reception(1, 90000)
    for seq in (1, 2, 4):
        reception.accept(seq, 0, 0)
    report = reception.report(0)
    assert (report.lost, report.fraction_lost, report.highest_seq) == (1, 64, 4)
    reception.accept(5, 0, 0)
    assert reception.report(0).fraction_lost == 0


def test_the_gop_starts_at_a_keyframe_and_is_let_go_when_it_outgrows_its_bounds():
    gop = Gop()
    gop.add(carried(1, 0), 0)
    assert not gop.is_open
    for seq, timestamp, key in ((2, 3000, True), (3, 3000, True), (4, 6000, False)):
        gop.add(carried(seq, timestamp, key=key), 0)
    assert [(frame.first_seq, frame.last_seq) for frame in gop.frames] == [(2, 3), (4, 4)]
    generation = gop.generation
    gop.add(carried(5, 9000, key=True), 1)
    assert gop.generation != generation
    assert [frame.first_seq for frame in gop.frames] == [5]
    gop.add(carried(6, 12000), 1 + GOP_S + 0.1)
    assert not gop.is_open


def test_late_packets_find_their_place_in_the_gop():
    gop = Gop()
    for seq, timestamp in ((2, 3000), (4, 3000), (9, 9000)):
        gop.add(carried(seq, timestamp, key=timestamp == 3000), 0)
    for seq, timestamp in ((3, 3000), (6, 6000), (1, 3000), (7, 6000), (0, 500)):
        gop.add_late(carried(seq, timestamp))
    assert [[seq for seq, _ in frame.packets] for frame in gop.frames] == [[1, 2, 3, 4], [6, 7], [9]]
    assert [seq for seq in range(12) if gop.get(seq)] == [1, 2, 3, 4, 6, 7, 9]


def test_the_ring_is_bounded_in_packets_and_seconds():
    ring = Ring()
    for seq in range(RING_PACKETS + 5):
        ring.put(seq, b"x", 0)
    assert len(ring) == RING_PACKETS
    assert ring.get(4) is None
    assert ring.get(5) == b"x"
    ring.put(99999, b"y", 10)
    assert len(ring) == 1


def test_a_frame_is_gathered_to_its_marker():
    gather = Gather()
    assert not gather.add(carried(1, 0))
    assert gather.fits(carried(2, 0, late=True), 0)
    assert not gather.fits(carried(2, 3000, late=True), 0)
    assert not gather.add(carried(3, 0))
    assert not gather.add(carried(2, 0, late=True))
    assert gather.starts_another(carried(5, 3000))
    assert gather.add(carried(4, 0, marker=True))
    assert [held.seq for held in gather.take()] == [1, 2, 3, 4]
    assert [gather.add(carried(seq, 0)) for seq in range(MAX_PACKETS)][-1]


def test_keyframe_requests_are_folded_and_given_up():
    requests = KeyframeRequests()
    assert [requests.ask(t / 10) for t in range(10)] == [True] + [False] * 9
    assert requests.due(INTERVAL_S)
    requests.arrived()
    assert not requests.due(9)
    sent = [requests.ask(20.0)] + [requests.due(20 + t * INTERVAL_S) for t in range(1, 9)]
    assert sum(sent) == MAX_TRIES


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 40), st.booleans()), min_size=1, max_size=40))
def test_a_viewer_gets_gapless_numbers_whatever_it_is_given(runs):
    """Runs of the relay's packets, with jumps ahead (a new keyframe) and back (a replay)."""
    forwarder, at, out, sent = Forwarder(), 70000, [], {}
    for jump, length, back in runs:
        first = max(60000, at - jump if back else at + jump)
        span = forwarder.start(first, at - 1, 96, timestamp_delta=jump)
        for seq in range(first, first + length):
            out.append(seq + span.seq_delta)
            sent[seq + span.seq_delta] = seq
        at = first + length
    assert out == list(range(out[0], out[0] + len(out)))
    for number in out[-500:]:
        found = forwarder.find(number & 0xFFFF, at - 1)
        assert found is not None
        assert found[0] == sent[number]
    assert forwarder.find(out[-1] + 1 & 0xFFFF, at - 1) is None, "it has not left yet"


def test_a_replay_is_drawn_together_and_never_put_back():
    edge, frames = 10_000_000, 60
    originals = [edge - 3000 * (frames - 1 - i) for i in range(frames)]
    out = [at + squeeze(at, edge, frames - 1 - i) for i, at in enumerate(originals)]
    assert out == sorted(set(out))
    assert out[-1] == edge
    assert all(new >= old for new, old in zip(out, originals, strict=True))
