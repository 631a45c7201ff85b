"""Which layer for whom: down soon, up late, never to and fro; sound before picture."""

from hypothesis import given
from hypothesis import strategies as st

from stream.packet.bandwidth import Bandwidth, Path
from stream.packet.layers import LayerChoice

RATES = {0: 200_000.0, 1: 700_000.0, 2: 2_500_000.0}


def run(choice, path, seconds, start=0.0, rates=RATES):
    """The targets of every half second."""
    return [choice.choose(rates, path, start + at / 2) for at in range(int(seconds * 2) + 1)]


def test_the_best_there_is_and_one_that_appears_later():
    choice = LayerChoice()
    assert choice.choose({0: 100.0}, Path.FAIR, 0) == 0
    assert choice.choose(RATES, Path.FAIR, 1) == 2
    assert choice.choose({0: 100.0, 1: 300.0}, Path.FAIR, 2) == 1


def test_one_bad_moment_is_nothing_a_bad_second_is_a_step_down():
    choice = LayerChoice()
    assert run(choice, Path.TIGHT, 0.5) == [2, 2]
    assert choice.choose(RATES, Path.FAIR, 1) == 2
    assert run(choice, Path.TIGHT, 1, 2)[-1] == 1
    assert run(choice, Path.TIGHT, 1.5, 4)[-1] == 0


def test_rates_that_wander_do_not_move_anyone():
    choice = LayerChoice()
    run(choice, Path.TIGHT, 1)
    for factor in (0.7, 1.4, 1.0):
        rates = {layer: rate * factor for layer, rate in RATES.items()}
        assert choice.choose(rates, Path.FAIR, 3) == 1


def test_a_step_up_that_fails_is_tried_again_ever_later():
    choice, now, waits = LayerChoice(), 0.0, []
    run(choice, Path.TIGHT, 1)
    for _ in range(3):
        now = waited_from = now + 2
        while choice.choose(RATES, Path.CLEAR, now) != 2:
            now += 0.5
        waits.append(now - waited_from)
        for _ in range(3):
            now += 0.5
            choice.choose(RATES, Path.TIGHT, now)
        assert choice.target == 1
    assert waits == [5, 10, 20]


def test_the_picture_rests_where_even_sound_is_in_danger_and_comes_back_low():
    choice = LayerChoice()
    targets = run(choice, Path.BROKEN, 7)
    assert targets[-1] is None
    assert targets.index(None) >= 5, "first down through the layers"
    assert choice.is_paused
    back = run(choice, Path.FAIR, 6, 7.5)
    assert back[-1] == 0
    assert run(choice, Path.CLEAR, 6, 14)[-1] == 1


def test_no_better_than_preferred():
    choice = LayerChoice()
    choice.preferred = 1
    assert choice.choose(RATES, Path.CLEAR, 0) == 1
    choice.preferred = None
    assert choice.choose(RATES, Path.CLEAR, 0.5) == 2


def test_a_single_layer_goes_on_unless_the_path_is_broken():
    choice, rates = LayerChoice(), {0: 1e6}
    assert set(run(choice, Path.TIGHT, 60, rates=rates)) == {0}
    assert choice.is_calm
    assert run(choice, Path.BROKEN, 1.0, 61, rates)[-1] == 0
    assert not choice.is_calm
    assert run(choice, Path.FAIR, 0, 63, rates) == [0]
    assert choice.is_calm
    assert run(choice, Path.BROKEN, 2, 64, rates)[-1] is None


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.floats(0, 1e7), max_size=4),
            st.sampled_from(list(Path)),
            st.sampled_from([None, 0, 1, 2, 3]),
        ),
        max_size=80,
    )
)
def test_the_target_is_always_on_air(steps):
    choice = LayerChoice()
    for at, (rates, path, preferred) in enumerate(steps):
        choice.preferred = preferred
        target = choice.choose(rates, path, at / 2)
        assert not rates or target is None or target in rates
        assert (target is None and bool(rates)) <= choice.is_paused


def test_paths():
    path = Bandwidth(0)
    assert path.judge(1e6, 10) is Path.FAIR, "nothing was heard"
    path.heard_loss(0.01, 10)
    assert path.judge(1e6, 10) is Path.CLEAR
    path.heard_loss(0.05, 10)
    assert path.judge(1e6, 10) is Path.FAIR, "resends mend this"
    path.heard_loss(0.15, 10)
    assert path.judge(1e6, 10) is Path.TIGHT
    path.heard_remb(500_000, 9)
    path.heard_remb(400_000, 10)
    assert not path.loses_much
    path.heard_loss(0.25, 10)
    assert path.loses_much
    assert path.judge(1e6, 10) is Path.BROKEN
    assert path.judge(1e6, 20) is Path.FAIR, "old news"


def test_an_estimate_has_time_to_find_the_rate():
    path = Bandwidth(0)
    path.heard_remb(300_000, 1)
    assert path.judge(2.5e6, 1) is Path.FAIR
    path.heard_remb(310_000, 4)
    assert path.judge(2.5e6, 4) is Path.FAIR, "it still rises"
    path.heard_remb(290_000, 4.2)
    assert path.judge(2.5e6, 4.2) is Path.TIGHT
    path.restarted(4.5)
    assert path.judge(2.5e6, 5) is Path.FAIR


def test_the_report_of_what_was_sent_before_says_nothing_of_what_is_sent_now():
    path = Bandwidth(0)
    path.restarted(10)
    path.heard_loss(0.6, 11)
    assert path.judge(7e5, 11) is Path.FAIR
    path.heard_loss(0.6, 12)
    assert path.judge(7e5, 12) is Path.BROKEN
    assert path.passed == 0.4


def test_down_to_what_still_gets_through_not_step_by_step():
    choice = LayerChoice()
    targets = [choice.choose(RATES, Path.BROKEN, at / 2, 2, passed=0.1) for at in range(3)]
    assert targets == [2, 0, 0]


def test_where_nothing_fits_the_picture_rests_at_once():
    choice = LayerChoice()
    targets = [choice.choose(RATES, Path.BROKEN, at / 2, 2, passed=0.02) for at in range(5)]
    assert targets == [2, 2, 2, None, None]


def test_while_a_keyframe_is_awaited_nothing_is_held_against_the_target():
    choice = LayerChoice()
    for at in range(20):
        choice.choose(RATES, Path.TIGHT, at / 2, 2)
    assert choice.target == 1
