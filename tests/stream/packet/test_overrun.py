"""A node that drops frames for longer than a stumble is behind until it has been calm."""

from stream.packet.overrun import CALM_S, Overrun


def noted(drops: list[int]) -> tuple[Overrun, float]:
    overrun, now, total = Overrun(), 0.0, 0
    for dropped in drops:
        now += 0.5
        total += dropped
        overrun.note(total, now)
    return overrun, now


def test_no_drops_and_a_stumble_are_nothing():
    for drops in ([0] * 10, [0, 9, 0, 0], [0, 3, 3, 0]):
        overrun, now = noted(drops)
        assert not overrun.holds(now)


def test_drops_that_go_on_are_an_overrun_until_it_is_calm():
    overrun, now = noted([0, 1, 2, 0, 1, 1])
    assert overrun.holds(now)
    assert overrun.holds(now + CALM_S - 0.1)
    assert not overrun.holds(now + CALM_S)


def test_stumbles_far_apart_do_not_add_up():
    overrun, now = noted([1, *[0] * 8, 1, *[0] * 8, 1])
    assert not overrun.holds(now)
