"""Seeded mutation: what a broken, hostile or merely foreign sender makes of a good input."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_BYTES = 1500
_EDGES = (0, 1, 2, 3, 0x0F, 0x10, 0x3F, 0x40, 0x7F, 0x80, 0xBE, 0xC0, 0xDE, 0xFE, 0xFF)
_LENGTHS = (0, 1, 2, 3, 4, 8, 19, 20, 127, 128, 255, 256, 1199, 1500, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
_WORDS = (
    "",
    "0",
    "-1",
    "1",
    "64",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "²",
    "٣",
    "\u2028",
    "\x0b",
    "\t",
    "\x00",
    "=",
    ":",
    ";",
    "/",
    "a=",
    "m=",
    "v=0",
    "send",
    "recv",
    "rtx/90000",
    "apt=",
    "*",
    "x" * 300,
)

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _flip(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _edge(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    data[dice.randrange(len(data))] = dice.choice(_EDGES)


def _length_lie(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data))
    data[at : at + 2] = dice.choice(_LENGTHS).to_bytes(2, "big")


def _truncate(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    del data[dice.randrange(len(data)) :]


def _grow(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.randbytes(dice.choice((1, 2, 4, 16, 200)))


def _cut(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.choice((1, 2, 4, 12, 64))]


def _repeat(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data))
    part = data[at : at + dice.choice((1, 4, 20, 100))]
    data[at:at] = part * dice.choice((1, 2, 8))


def _splice(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = dice.choice(seeds)
    if other:
        data[dice.randrange(len(data)) :] = other[dice.randrange(len(other)) :]


_CHANGES: tuple[Change, ...] = (
    _flip,
    _flip,
    _edge,
    _edge,
    _length_lie,
    _truncate,
    _grow,
    _cut,
    _repeat,
    _splice,
)


def mutate(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds`, changed in one to four places; now and then noise, or the seed as it is."""
    lot = dice.random()
    if lot < 0.01:
        return dice.randbytes(dice.randrange(MAX_BYTES))
    data = bytearray(dice.choice(seeds))
    if lot < 0.03:
        return bytes(data)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        if not data:
            break
        dice.choice(_CHANGES)(dice, data, seeds)
    return bytes(data[:MAX_BYTES])


def mutate_text(dice: random.Random, seeds: Sequence[str]) -> str:
    """The same for lines of text, by lines, words and characters."""
    lines = dice.choice(seeds).split("\r\n")
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        if lines:
            _mutate_lines(dice, lines, seeds)
    return dice.choice(("\r\n", "\r\n", "\r\n", "\n", "\r")).join(lines)


def _mutate_lines(dice: random.Random, lines: list[str], seeds: Sequence[str]) -> None:
    at = dice.randrange(len(lines))
    match dice.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = lines[at : at + dice.choice((1, 5, 40))] * dice.choice((1, 1, 30))
        case 2:
            other = dice.choice(seeds).split("\r\n")
            lines[at] = dice.choice(other)
        case 3:
            lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
        case 4:
            other_at = dice.randrange(len(lines))
            lines[at], lines[other_at] = lines[other_at], lines[at]
        case 5:
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + dice.choice(_WORDS) + lines[at][place:]
        case 6:
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + chr(dice.randrange(1, 0x300)) + lines[at][place + 1 :]
        case _:
            words = lines[at].replace(":", " : ").replace("=", " = ").split(" ")
            words[dice.randrange(len(words))] = dice.choice(_WORDS)
            lines[at] = " ".join(words).replace(" : ", ":").replace(" = ", "=")
