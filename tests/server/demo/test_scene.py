"""The demo's picture and sound: they move, the clock can be told, and they repeat without a seam."""

from __future__ import annotations

from array import array

from server.demo import chime
from server.demo.scene import BEAT_FRAMES, HEIGHT, TURN_STEPS, WIDTH, Scene, beat_strength

_CLOCK = "12:34:56.789"


def test_a_frame_has_the_planes_of_yuv_420() -> None:
    y, u, v = Scene("Shop").frame(0, _CLOCK)
    assert len(y) == WIDTH * HEIGHT
    assert len(u) == len(v) == WIDTH * HEIGHT // 4
    assert min(y) >= 16
    assert max(y) <= 235


def test_the_vase_turns_and_comes_round() -> None:
    scene = Scene("Shop")
    first, later = scene.frame(BEAT_FRAMES - 1, _CLOCK), scene.frame(BEAT_FRAMES + 14, _CLOCK)
    assert first != later
    period = TURN_STEPS * BEAT_FRAMES
    assert scene.frame(BEAT_FRAMES - 1 + period, _CLOCK) == first


def test_the_clock_shows_every_millisecond() -> None:
    scene = Scene("Shop")
    shown = {scene.frame(0, f"12:34:56.{ms:03}")[0] for ms in range(0, 1000, 37)}
    assert len(shown) == len(range(0, 1000, 37))


def test_the_light_flares_with_the_chime() -> None:
    assert beat_strength(0) == beat_strength(BEAT_FRAMES) == 7
    assert beat_strength(BEAT_FRAMES - 1) == 0


def test_the_niche_behind_the_product_is_lit_warmly() -> None:
    y, u, v = Scene("Shop").frame(0, _CLOCK)
    column, row = WIDTH // 2 - 110, HEIGHT // 2
    blue, red = (plane[row // 2 * WIDTH // 2 + column // 2] - 128 for plane in (u, v))
    assert y[row * WIDTH + column] > 140
    assert blue < 0 < red


def test_the_chime_is_soft_never_clips_and_ends_in_silence() -> None:
    sound = array("h", chime.samples())
    assert len(sound) == 4 * chime.EVERY_S * chime.RATE
    assert 3_000 < max(sound) < 16_000
    assert all(abs(sound[k * chime.EVERY_S * chime.RATE - 1]) < 40 for k in range(1, 5))
