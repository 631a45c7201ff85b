"""What a viewer asks for again leaves once, then twice, and never without bound."""

from hypothesis import given
from hypothesis import strategies as st

from stream.packet.repeats import BURST, FORGOTTEN_S, RATE, REMEMBERED, Repeats


def test_a_packet_that_is_lost_again_leaves_twice():
    repeats = Repeats(0.0)
    assert [repeats.count(7, at, 0.05) for at in (1.0, 1.1, 1.2)] == [1, 2, 2]
    assert repeats.count(8, 1.2, 0.05) == 1


def test_what_is_on_its_way_is_not_sent_once_more():
    repeats = Repeats(0.0)
    assert [repeats.count(7, at, 0.3) for at in (1.0, 1.1, 1.2, 1.3)] == [1, 0, 0, 2]


def test_where_the_round_trip_is_not_known_every_request_counts():
    repeats = Repeats(0.0)
    assert [repeats.count(7, 1.0, 0.0) for _ in range(3)] == [1, 2, 2]


def test_a_number_that_came_round_is_another_packet():
    repeats = Repeats(0.0)
    assert repeats.count(7, 1.0, 0.05) == 1
    assert repeats.count(7, 1.1 + FORGOTTEN_S, 0.05) == 1


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 0.01)), max_size=2000))
def test_no_viewer_gets_more_than_its_rate(asked):
    repeats, now, sent = Repeats(0.0), 0.0, 0
    for seq, passed in asked:
        now += passed
        sent += repeats.count(seq, now, 0.0)
        assert sent <= BURST + now * RATE + 1e-6
    assert len(repeats._sent) <= REMEMBERED
