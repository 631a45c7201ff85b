"""Bandwidth traces through the relay's own judgement: it falls soon, climbs again, never flaps, and the
picture rests before the sound suffers for long."""

import pytest

from .paths import Simulation

LAYERS = {0: 200e3, 1: 700e3, 2: 2.5e6}
ONE = {0: 2.5e6}


def trace(*marks):
    """Capacities from moments on: `(0, 4e6), (20, 1e6)`."""
    return lambda t: [bits for at, bits in marks if at <= t][-1]


@pytest.mark.parametrize("keyframe_every_s", [0.4, 3.0])
@pytest.mark.parametrize("random_loss", [0.0, 0.03])
def test_a_good_path_is_left_alone(keyframe_every_s, random_loss):
    path = Simulation(
        trace((0, 4e6)), LAYERS, random_loss=random_loss, keyframe_every_s=keyframe_every_s
    ).run(300)
    assert path.changes() == 0


@pytest.mark.parametrize(("left", "layer"), [(1.2e6, 1), (1e6, 1), (400e3, 0), (300e3, 0)])
def test_a_fall_is_followed_soon_and_without_flapping(left, layer):
    path = Simulation(trace((0, 4e6), (20, left)), LAYERS).run(320)
    assert path.first_on(layer, 20) < 6
    assert path.share_on(layer, 30, 320) > 0.9
    assert path.changes(30, 320) <= 14, "a try now and then"
    assert path.changes(200, 320) <= 6, "ever more seldom"
    assert path.audio_loss(26, 320) < 0.05


def test_a_fall_is_followed_although_keyframes_are_far_between():
    path = Simulation(trace((0, 4e6), (20, 1e6)), LAYERS, keyframe_every_s=3.0).run(200)
    assert path.first_on(1, 20) < 9
    assert path.share_on(0, 20, 200) == path.share_on(None, 20, 200) == 0, "no lower than needed"


def test_a_keyframe_that_does_not_come_is_not_waited_for_for_ever():
    path = Simulation(trace((0, 4e6), (20, 300e3)), LAYERS, keyframe_every_s=60.0).run(60)
    assert path.first_on(None, 20) < 10
    assert path.share_on(0, 40, 60) > 0.9


@pytest.mark.parametrize("left", [1e6, 300e3, 120e3])
def test_what_recovers_is_used_again(left):
    path = Simulation(trace((0, 4e6), (20, left), (140, 4e6)), LAYERS).run(320)
    assert path.first_on(2, 140) < 75
    assert path.changes(250, 320) == 0


@pytest.mark.parametrize("half_s", [2, 4, 8])
def test_a_path_that_swings_does_not_make_the_picture_swing(half_s):
    path = Simulation(lambda t: 4e6 if t // half_s % 2 == 0 else 500e3, LAYERS).run(600)
    assert path.changes(60, 600) <= 9 * 4, "at most four a minute"


def test_slow_swings_are_followed():
    path = Simulation(lambda t: 4e6 if t // 90 % 2 == 0 else 500e3, LAYERS).run(720)
    for at in range(180, 720, 180):
        assert path.first_on(2, at) < 75
        assert path.first_on(0, at + 90) < 10


def test_where_not_even_the_lowest_fits_the_picture_rests_and_sound_goes_on():
    path = Simulation(trace((0, 4e6), (20, 120e3), (200, 4e6)), LAYERS).run(330)
    assert path.first_on(None, 20) < 6
    assert path.share_on(None, 60, 200) > 0.8
    assert path.audio_loss(60, 200) < 0.12
    assert path.first_on(0, 200) < 45
    assert path.first_on(2, 200) < 120
    assert path.share_on(2, 320, 330) == 1


@pytest.mark.parametrize("left", [0.3e6, 0.8e6, 1.5e6])
def test_a_picture_without_layers_rests_too_and_comes_back(left):
    path = Simulation(trace((0, 4e6), (20, left), (120, 4e6)), ONE).run(300)
    assert path.first_on(None, 20) < 5
    assert path.share_on(None, 40, 120) > 0.6
    assert path.first_on(0, 120) < 45
    assert path.share_on(0, 180, 300) == 1


def test_a_radio_that_loses_some_lowers_nothing_and_one_that_loses_much_does():
    assert Simulation(trace((0, 4e6)), LAYERS, random_loss=0.05).run(200).changes() == 0
    lossy = Simulation(trace((0, 4e6)), LAYERS, random_loss=0.15).run(200)
    assert lossy.share_on(0, 20, 200) > 0.9
    assert lossy.changes() <= 4
