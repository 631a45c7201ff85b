"""The demo's sound: a soft chime every two seconds, another note each time, as 48 kHz mono samples."""

from __future__ import annotations

import math
from array import array

RATE = 48_000
EVERY_S = 2
_NOTES_HZ = (523.25, 659.26, 783.99, 587.33)  # C5 E5 G5 D5
_PARTIALS = ((1.0, 0.16, 2.6), (2.0, 0.05, 4.0), (2.99, 0.025, 6.5))  # multiple, loudness, decay per second
_ATTACK_S = 0.012


def samples() -> bytes:
    """All notes after one another, signed 16 bit: a loop of eight seconds."""
    loop = array("h")
    for note in _NOTES_HZ:
        loop.extend(_note(note))
    return loop.tobytes()


def _note(frequency_hz: float) -> list[int]:
    """One chime and its fading; each partial is a decaying rotation, which needs no sine a sample."""
    length = RATE * EVERY_S
    out = [0.0] * length
    for multiple, loudness, decay in _PARTIALS:
        turn = math.tau * frequency_hz * multiple / RATE
        fade = math.exp(-decay / RATE)
        first, second = fade * 2 * math.cos(turn), fade * fade
        before, now = 0.0, loudness * math.sin(turn)
        for place in range(length):
            out[place] += before
            before, now = now, first * now - second * before
    attack = int(RATE * _ATTACK_S)
    release = RATE // 10
    for place in range(attack):
        out[place] *= place / attack
    for place in range(release):
        out[length - 1 - place] *= place / release
    return [round(value * 32_767) for value in out]
