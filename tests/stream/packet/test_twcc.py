from hypothesis import given
from hypothesis import strategies as st

from stream.packet.twcc import ArrivalLog


def decode(fci):
    """Sequence numbers and arrival times (ms) by the draft, independently of the packer."""
    base, count = int.from_bytes(fci[:2], "big"), int.from_bytes(fci[2:4], "big")
    time_ms, at, symbols = int.from_bytes(fci[4:7], "big") * 64.0, 8, []
    while len(symbols) < count:
        chunk = int.from_bytes(fci[at : at + 2], "big")
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    arrivals = {}
    for place, symbol in enumerate(symbols[:count]):
        if symbol:
            delta = int.from_bytes(fci[at : at + symbol], "big", signed=symbol == 2)
            at += symbol
            time_ms += delta * 0.25
            arrivals[(base + place) & 0xFFFF] = time_ms
    return arrivals, (base + count) & 0xFFFF


@given(
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(1, 12), st.floats(-0.02, 0.3)), min_size=1, max_size=120),
)
def test_feedback_says_when_each_packet_arrived(start, steps):
    log, sent, seq, now = ArrivalLog(), {}, start, 1000.0
    said = {}
    for index, (step, pause) in enumerate(steps):
        seq, now = (seq + step) & 0xFFFF, now + pause
        log.arrived(seq, now)
        sent[seq] = now * 1000
        if index % 20 == 19:
            said |= decode(log.feedback())[0]
    while (fci := log.feedback()) is not None:
        assert len(fci) % 4 == 0
        said |= decode(fci)[0]
    assert said.keys() == sent.keys()
    assert all(abs(said[seq] - sent[seq]) < 0.5 for seq in sent)


def test_feedbacks_follow_each_other_without_a_hole():
    log = ArrivalLog()
    log.arrived(65534, 1)
    log.arrived(65535, 1)
    assert decode(log.feedback())[1] == 0
    assert log.feedback() is None
    log.arrived(2, 1.1)
    fci = log.feedback()
    assert int.from_bytes(fci[:2], "big") == 0
    assert list(decode(fci)[0]) == [2]
    log.arrived(1, 1.2)
    assert log.feedback() is None, "reported as lost: too late"
