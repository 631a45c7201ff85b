"""Product pictures of the sample shop, drawn: pots as a profile turned round, glazed and lit."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

SIZE = 1200
_FINE = 2  # drawn this many times larger, then made smaller: smooth edges

RGB = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Pot:
    """A pot: its profile as (down 0…1, half width 0…1 of the height), glaze over clay, a ground to stand on.

    `dip` is how far down the glaze reaches, `height` a part of the picture's; handle and spout make a teapot.
    """

    profile: Points
    glaze: RGB
    ground: RGB
    clay: RGB = (176, 112, 82)
    dip: float = 0.86
    height: float = 0.56
    handle: bool = False
    spout: bool = False
    lid: bool = False
    mouth: bool = True


def jpeg(pot: Pot) -> bytes:
    """The picture as JPEG, SIZE × SIZE."""
    encoded = io.BytesIO()
    _draw(pot).resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(encoded, "JPEG", quality=88)
    return encoded.getvalue()


def _draw(pot: Pot) -> Image.Image:
    side = SIZE * _FINE
    picture = _ground(pot.ground, side)
    tall = round(pot.height * side)
    top = round(side * 0.79) - tall
    middle = side // 2
    _shadow(picture, middle, top + tall, round(_widest(pot) * tall))
    if pot.handle:
        _handle(picture, pot, middle, top, tall)
    if pot.spout:
        _spout(picture, pot, middle, top, tall)
    _body(picture, pot, middle, top, tall)
    if pot.lid:
        _lid(picture, pot, middle, top, tall)
    elif pot.mouth:
        _mouth(picture, pot, middle, top, tall)
    return picture


def _ground(colour: RGB, side: int) -> Image.Image:
    """A wall with light from the left above, and a table."""
    small = Image.new("RGB", (60, 60))
    for y in range(60):
        for x in range(60):
            light = 1.08 - 0.28 * math.hypot(x - 16, y - 12) / 60
            if y >= 42:
                light *= 0.90 - 0.08 * (y - 42) / 18
            small.putpixel((x, y), _lit(colour, light))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def _lit(colour: RGB, light: float) -> RGB:
    r, g, b = (max(0, min(255, round(value * light))) for value in colour)
    return r, g, b


def _shadow(picture: Image.Image, middle: int, floor: int, half: int) -> None:
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse(
        [middle - half * 0.9, floor - half * 0.16, middle + half * 2.1, floor + half * 0.2], fill=120
    )
    soft = mask.resize((300, 300)).filter(ImageFilter.GaussianBlur(9)).resize(picture.size)
    picture.paste((38, 26, 22), (0, 0), soft)


def _widest(pot: Pot) -> float:
    return max(half for _, half in pot.profile)


def _half(pot: Pot, down: float) -> float:
    """Half the width at `down` of the height, as a part of the height; eased between the profile's points."""
    for (t0, r0), (t1, r1) in zip(pot.profile, pot.profile[1:], strict=False):
        if down <= t1:
            ease = (1 - math.cos(math.pi * (down - t0) / max(t1 - t0, 1e-6))) / 2
            return r0 + (r1 - r0) * ease
    return pot.profile[-1][1]


def _body(picture: Image.Image, pot: Pot, middle: int, top: int, tall: int) -> None:
    """Row by row: a strip of the round's shading, as wide as the wall is there."""
    glaze, clay = _strip(pot.glaze, 0.30), _strip(pot.clay, 0.10)
    sag = tall * 0.045 * _widest(pot) * 2
    for y in range(tall):
        half = round(_half(pot, y / tall) * tall)
        row = glaze.resize((half * 2, 1), Image.Resampling.BILINEAR)
        below = (y - pot.dip * tall) / sag
        if pot.dip < 1 and below > 0:
            # The glaze ends in a circle round the pot: seen from above, it hangs lowest in front.
            glazed = round(half * 2 * math.sqrt(max(0.0, 1 - below)))
            bare = clay.resize((half * 2, 1), Image.Resampling.BILINEAR)
            bare.paste(row.crop((half - glazed // 2, 0, half + glazed // 2, 1)), (half - glazed // 2, 0))
            row = bare
        picture.paste(row, (middle - half, top + y))
    foot = round(_half(pot, 1.0) * tall)
    deep = max(4, round(foot * 0.16))
    colour = pot.clay if pot.dip < 1 else pot.glaze
    base = _strip(colour, 0.05).resize((foot * 2, deep))
    mask = Image.new("L", (foot * 2, deep * 2), 0)
    ImageDraw.Draw(mask).ellipse([0, 0, foot * 2 - 1, deep * 2 - 1], fill=255)
    picture.paste(base, (middle - foot, top + tall), mask.crop((0, deep, foot * 2, deep * 2)))


def _strip(colour: RGB, gloss: float) -> Image.Image:
    """One row across a round thing lit from the left, with the window mirrored in it."""
    strip = Image.new("RGB", (256, 1))
    for x in range(256):
        across = (x - 127.5) / 128
        light = 0.42 + 0.72 * max(0.0, math.cos(math.asin(across) + 0.55)) ** 0.9
        shine = gloss * math.exp(-(((across + 0.46) / 0.07) ** 2))
        rim = 0.10 * max(0.0, across - 0.8) / 0.2
        r, g, b = _lit(colour, light + rim)
        strip.putpixel((x, 0), tuple(min(255, round(v + 255 * shine)) for v in (r, g, b)))
    return strip


def _mouth(picture: Image.Image, pot: Pot, middle: int, top: int, tall: int) -> None:
    half = round(_half(pot, 0.0) * tall)
    deep = round(half * 0.17)
    pen = ImageDraw.Draw(picture)
    pen.ellipse([middle - half, top - deep, middle + half, top + deep], fill=_lit(pot.glaze, 1.12))
    rim = max(6, round(half * 0.05))
    pen.ellipse(
        [middle - half + rim, top - deep + rim * 0.5, middle + half - rim, top + deep - rim * 0.3],
        fill=_lit(pot.glaze, 0.42),
    )


def _handle(picture: Image.Image, pot: Pot, middle: int, top: int, tall: int) -> None:
    edge = middle + round(_half(pot, 0.45) * tall)
    reach, half = round(tall * 0.30), round(tall * 0.29)
    centre, thick = top + round(tall * 0.46), round(tall * 0.085)
    pen = ImageDraw.Draw(picture)
    box = [edge - reach, centre - half, edge + reach, centre + half]
    pen.ellipse(box, outline=_lit(pot.glaze, 0.62), width=thick)
    inner = [box[0] + thick * 0.3, box[1] + thick * 0.2, box[2] - thick * 0.3, box[3] - thick * 0.5]
    pen.ellipse(inner, outline=_lit(pot.glaze, 0.80), width=round(thick * 0.35))


def _spout(picture: Image.Image, pot: Pot, middle: int, top: int, tall: int) -> None:
    wall = middle - _half(pot, 0.55) * tall * 0.9
    root, tip = (wall, top + tall * 0.60), (wall - tall * 0.46, top - tall * 0.02)
    pen = ImageDraw.Draw(picture)
    for step in range(401):
        along = step / 400
        swing = math.sin(along * math.pi) * tall * 0.11
        x = root[0] + (tip[0] - root[0]) * along + swing * 0.2
        y = root[1] + (tip[1] - root[1]) * along + swing
        thick = tall * (0.15 * (1 - along) ** 1.5 + 0.045)
        pen.ellipse([x - thick, y - thick, x + thick, y + thick], fill=_lit(pot.glaze, 0.92 - 0.1 * along))
        pen.ellipse(
            [x - thick * 0.62, y - thick * 0.62, x + thick * 0.1, y + thick * 0.1], fill=_lit(pot.glaze, 1.04)
        )


def _lid(picture: Image.Image, pot: Pot, middle: int, top: int, tall: int) -> None:
    half = round(_half(pot, 0.0) * tall * 1.04)
    rise = round(tall * 0.13)
    strip = _strip(pot.glaze, 0.3)
    for y in range(rise):
        width = round(half * math.sin(math.acos(1 - (y + 1) / rise)))
        if width > 0:
            picture.paste(strip.resize((width * 2, 1)), (middle - width, top - rise + y))
    pen = ImageDraw.Draw(picture)
    pen.line(
        [(middle - half, top), (middle + half, top)], fill=_lit(pot.glaze, 0.5), width=max(4, tall // 90)
    )
    knob = round(tall * 0.055)
    pen.ellipse(
        [middle - knob, top - rise - knob * 1.7, middle + knob, top - rise + knob * 0.2], fill=pot.clay
    )
    pen.ellipse(
        [middle - knob * 0.6, top - rise - knob * 1.5, middle, top - rise - knob * 0.9],
        fill=_lit(pot.clay, 1.25),
    )


SAND, COBALT, MOSS, CHALK = (226, 205, 172), (44, 78, 148), (110, 128, 92), (240, 234, 222)
EMBER, INK, SKY = (198, 92, 58), (52, 56, 66), (140, 172, 206)

TIDE_VASE = Pot(
    ((0, 0.13), (0.03, 0.135), (0.14, 0.085), (0.2, 0.085), (0.56, 0.25), (0.95, 0.13), (1, 0.13)),
    glaze=COBALT, ground=(232, 186, 150), height=0.62,
)  # fmt: skip
MORNING_MUG = Pot(
    ((0, 0.40), (0.1, 0.395), (0.8, 0.40), (1, 0.34)),
    glaze=SAND,
    ground=(150, 176, 172),
    handle=True,
    height=0.42,
    dip=0.72,
)
HARBOUR_BOWL = Pot(
    ((0, 0.95), (0.45, 0.80), (0.85, 0.46), (0.92, 0.34), (1, 0.36)),
    glaze=SKY,
    ground=(214, 204, 190),
    height=0.32,
    dip=0.8,
)
KILN_TEAPOT = Pot(
    ((0, 0.30), (0.06, 0.34), (0.55, 0.62), (0.95, 0.38), (1, 0.38)),
    glaze=MOSS, ground=(234, 214, 184), height=0.40, handle=True, spout=True, lid=True, dip=0.9,
)  # fmt: skip
EMBER_HOLDER = Pot(
    ((0, 0.13), (0.05, 0.13), (0.1, 0.10), (0.62, 0.10), (0.78, 0.34), (0.9, 0.42), (1, 0.40)),
    glaze=EMBER, ground=(60, 72, 78), height=0.44, dip=0.97,
)  # fmt: skip
DUNE_PLANTER = Pot(
    ((0, 0.52), (0.08, 0.52), (0.1, 0.49), (1, 0.36)),
    glaze=CHALK,
    ground=(182, 196, 164),
    height=0.48,
    dip=0.55,
)
SALT_CELLAR = Pot(
    ((0, 0.34), (0.5, 0.5), (0.94, 0.44), (1, 0.40)),
    glaze=INK,
    ground=(226, 196, 176),
    height=0.34,
    lid=True,
    dip=0.93,
)
MOON_JAR = Pot(
    ((0, 0.20), (0.05, 0.21), (0.5, 0.54), (0.95, 0.24), (1, 0.23)),
    glaze=CHALK,
    ground=(72, 92, 112),
    height=0.60,
    dip=1.0,
)
