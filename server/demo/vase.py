"""A painted vase, turned: a pattern rolled round a drum, lit, and drawn in to the vase's profile."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 164, 312
REPEATS = 6  # of the pattern, once round: a sixth of a turn looks like none
_REPEAT_PX = 80
_CREAM, _COBALT, _SKY = (250, 244, 232), (38, 70, 140), (126, 160, 206)
_CLAY, _SMOOTH = (168, 96, 66), 4
# How far out the wall is (1 = widest), down from the lip (0) to the foot (1).
_PROFILE = (
    (0.0, 0.52), (0.03, 0.52), (0.13, 0.35), (0.19, 0.35), (0.55, 1.0), (0.95, 0.5), (1.0, 0.53),
)  # fmt: skip

_Quad = tuple[float, float, float, float, float, float, float, float]
_Mesh = list[tuple[tuple[int, int, int, int], _Quad]]


def turned(turn: float) -> Image.Image:
    """The vase turned by `turn` (0 … 1), WIDTH × HEIGHT pixels; transparent around it."""
    shift = round(turn * _REPEAT_PX * REPEATS)
    drum = ImageChops.offset(_pattern(), shift, 0).transform(
        (WIDTH, HEIGHT), Image.Transform.MESH, _drum(), Image.Resampling.BILINEAR
    )
    lit = ImageChops.add(ImageChops.multiply(drum, _shade()), _gloss())
    vase = lit.transform((WIDTH, HEIGHT), Image.Transform.MESH, _profile(), Image.Resampling.BILINEAR)
    _draw_mouth(vase)
    vase.putalpha(_silhouette())
    return vase


def _radius(down: float) -> float:
    """Half the width in pixels, `down` the vase (0 … 1), eased between the profile's points."""
    for (t0, r0), (t1, r1) in itertools.pairwise(_PROFILE):
        if down <= t1:
            ease = (1 - math.cos(math.pi * (down - t0) / (t1 - t0))) / 2
            return (r0 + (r1 - r0) * ease) * (WIDTH / 2 - 2)
    return _PROFILE[-1][1] * (WIDTH / 2 - 2)


@lru_cache(1)
def _pattern() -> Image.Image:
    """The painting, unrolled: bands, a row of leaves, dots; REPEATS times."""
    one = Image.new("RGB", (_REPEAT_PX * _SMOOTH, HEIGHT * _SMOOTH), _CREAM)
    draw = ImageDraw.Draw(one)
    for top, bottom, colour in ((18, 30, _COBALT), (64, 68, _COBALT), (72, 74, _SKY), (232, 236, _SKY)):
        draw.rectangle(_scaled(0, top, _REPEAT_PX, bottom), fill=colour)
    draw.rectangle(_scaled(0, 244, _REPEAT_PX, 290), fill=_COBALT)
    draw.rectangle(_scaled(0, 298, _REPEAT_PX, HEIGHT), fill=_CLAY)
    middle = _REPEAT_PX / 2
    draw.polygon(_leaf(middle, 158, 17, 66), fill=_COBALT)
    draw.polygon(_leaf(middle, 158, 8, 52), fill=_SKY)
    draw.line(_scaled(middle, 96, middle, 224), fill=_CREAM, width=2 * _SMOOTH)
    for x in (0, _REPEAT_PX):
        draw.polygon(_leaf(x, 164, 9, 34), fill=_SKY)
        draw.circle((x * _SMOOTH, 110 * _SMOOTH), 5 * _SMOOTH, fill=_COBALT)
        draw.circle((x * _SMOOTH, 267 * _SMOOTH), 5 * _SMOOTH, fill=_CREAM)
        draw.circle((x * _SMOOTH, 48 * _SMOOTH), 3 * _SMOOTH, fill=_SKY)
    small = one.resize((_REPEAT_PX, HEIGHT), Image.Resampling.BOX)
    whole = Image.new("RGB", (_REPEAT_PX * REPEATS, HEIGHT))
    for place in range(REPEATS):
        whole.paste(small, (place * _REPEAT_PX, 0))
    return whole


def _scaled(*values: float) -> list[float]:
    return [value * _SMOOTH for value in values]


def _leaf(x: float, y: float, half_width: float, half_height: float) -> list[tuple[float, float]]:
    """A pointed oval, enlarged for smoothing."""
    steps = [k / 24 for k in range(25)]
    right = [(x + half_width * math.sin(math.pi * k), y + half_height * (2 * k - 1)) for k in steps]
    left = [(2 * x - px, py) for px, py in reversed(right)]
    return [(px * _SMOOTH, py * _SMOOTH) for px, py in right + left]


@lru_cache(1)
def _drum() -> _Mesh:
    """From the unrolled pattern to a drum seen from the side: narrow strips, denser towards the edges."""
    around, strip, middle = _REPEAT_PX * REPEATS, 4, WIDTH / 2

    def along(x: float) -> float:
        return around * (0.5 + math.asin(max(-1.0, min(1.0, (x - middle) / middle))) / math.tau)

    mesh: _Mesh = []
    for x in range(0, WIDTH, strip):
        a, b = along(x), along(x + strip)
        mesh.append(((x, 0, x + strip, HEIGHT), (a, 0, a, HEIGHT, b, HEIGHT, b, 0)))
    return mesh


@lru_cache(1)
def _profile() -> _Mesh:
    """From the drum to the vase: every row drawn in to the wall, by taking more than the drum for it."""
    mesh: _Mesh = []
    for y in range(HEIGHT):
        half = 0.98 * (WIDTH / 2) ** 2 / _radius(y / HEIGHT)  # a little past the silhouette
        left, right = WIDTH / 2 - half, WIDTH / 2 + half
        mesh.append(((0, y, WIDTH, y + 1), (left, y, left, y + 1, right, y + 1, right, y)))
    return mesh


@lru_cache(1)
def _shade() -> Image.Image:
    """Light from the upper left: the drum darkens to the right."""
    row = Image.new("L", (WIDTH, 1))
    for x in range(WIDTH):
        angle = math.asin(max(-1.0, min(1.0, (x - WIDTH / 2) / (WIDTH / 2))))
        row.putpixel((x, 0), round(255 * (0.34 + 0.66 * max(0.0, math.cos(angle + 0.5)) ** 0.8)))
    grey = row.resize((WIDTH, HEIGHT))
    warm = Image.eval(grey, lambda v: min(255, round(v * 1.02)))
    return Image.merge("RGB", (warm, grey, Image.eval(grey, lambda v: round(v * 0.95))))


@lru_cache(1)
def _gloss() -> Image.Image:
    """The window that the glaze mirrors."""
    spot = Image.new("L", (WIDTH, HEIGHT), 0)
    draw = ImageDraw.Draw(spot)
    draw.rounded_rectangle([38, 96, 50, 196], 6, fill=120)
    draw.rounded_rectangle([40, 22, 47, 58], 3, fill=80)
    soft = spot.filter(ImageFilter.GaussianBlur(3))
    return Image.merge("RGB", (soft, soft, soft))


def _draw_mouth(vase: Image.Image) -> None:
    half = _radius(0)
    box = [WIDTH / 2 - half + 3, 1, WIDTH / 2 + half - 3, 11]
    ImageDraw.Draw(vase).ellipse(box, fill=(44, 34, 32))


@lru_cache(1)
def _silhouette() -> Image.Image:
    large = Image.new("L", (WIDTH * _SMOOTH, HEIGHT * _SMOOTH), 0)
    draw = ImageDraw.Draw(large)
    rows = range(6 * _SMOOTH, (HEIGHT - 5) * _SMOOTH)
    walls = [(_radius(y / _SMOOTH / HEIGHT) * _SMOOTH, y) for y in rows]
    middle = WIDTH * _SMOOTH / 2
    draw.polygon(
        [(middle - r, y) for r, y in walls] + [(middle + r, y) for r, y in reversed(walls)], fill=255
    )
    for down, y in ((0.0, 6), (1.0, HEIGHT - 6)):
        half = _radius(down) * _SMOOTH
        draw.ellipse([middle - half, (y - 5) * _SMOOTH, middle + half, (y + 5) * _SMOOTH], fill=255)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
