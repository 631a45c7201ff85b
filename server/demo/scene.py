"""The demo's picture: a vase that turns in a lit niche, the shop's name, and a running clock.

Everything that stays is drawn once, as the three planes of YUV 4:2:0; a frame pastes what moves into them: a
turn of the vase (kept after its first showing; its pattern repeats, so few are needed), the clock's digits, a
beat of light. That costs well under a millisecond a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from server.demo import vase

WIDTH, HEIGHT, FPS = 448, 800, 30  # a width of 32s: encoders then take the planes as they are
TURN_STEPS = 9 * FPS // vase.REPEATS  # once round in nine seconds
BEAT_FRAMES = 2 * FPS

_NIGHT, _DEEP = (15, 30, 36), (40, 70, 72)
_NICHE_TOP, _NICHE_LOW = (240, 194, 156), (190, 108, 78)
_CREAM, _INK = (246, 239, 226), (18, 26, 30)
_STONE_TOP, _STONE_SIDE = (222, 208, 192), (150, 126, 108)

_MIDDLE = WIDTH // 2
_NICHE = (_MIDDLE - 160, 240, _MIDDLE + 160, 680)  # left, top, right, bottom
_STONE_Y, _STONE_HALF, _STONE_TALL = 618, 118, 58  # the plinth's upper face: its middle; its height
_FLOOR_Y = 658
_VASE_XY = (_MIDDLE - vase.WIDTH // 2, 316)  # even numbers: chroma has half the resolution
_CLOCK_XY, _CLOCK_CELL, _CLOCK_SIZE = (_MIDDLE - 77, 180), 15, 24
_CLOCK_LENGTH = len("hh:mm:ss.mmm")
_BEAT_XY, _BEAT_SIZE = (_MIDDLE - 104, 184), 16
_BEAT_STRENGTHS = 8
_SMOOTH = 4

Planes = tuple[bytes, bytes, bytes]
Box = tuple[float, float, float, float]
RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Yuv:
    """One picture as luma and two half-size chroma planes, in studio range (BT.601)."""

    y: Image.Image
    u: Image.Image
    v: Image.Image

    def paste(self, patch: _Yuv, xy: tuple[int, int]) -> None:
        half = (xy[0] // 2, xy[1] // 2)
        self.y.paste(patch.y, xy)
        self.u.paste(patch.u, half)
        self.v.paste(patch.v, half)


def _yuv(picture: Image.Image) -> _Yuv:
    y, u, v = picture.convert("YCbCr").split()
    chroma = [16 + round(value * 224 / 255) for value in range(256)]
    half = (picture.width // 2, picture.height // 2)
    small = [plane.resize(half, Image.Resampling.BOX).point(chroma) for plane in (u, v)]
    return _Yuv(y.point([16 + round(value * 219 / 255) for value in range(256)]), *small)


class Scene:
    """The picture at any time."""

    def __init__(self, title: str) -> None:
        still = _still(title)
        left, top = _VASE_XY
        self._behind_vase = still.crop((left, top, left + vase.WIDTH, top + vase.HEIGHT))
        self._canvas = _yuv(still)
        self._digits = _digits()
        self._beats = _beats()
        self._turns: dict[int, _Yuv] = {}

    def frame(self, number: int, clock: str) -> Planes:
        """Planes Y, U, V of frame `number` (30 a second) with `clock` (`hh:mm:ss.mmm`) in it."""
        canvas = self._canvas
        canvas.paste(self._turn(number % TURN_STEPS), _VASE_XY)
        canvas.paste(self._beats[beat_strength(number)], _BEAT_XY)
        for place, character in enumerate(clock):
            canvas.y.paste(self._digits[character], (_CLOCK_XY[0] + place * _CLOCK_CELL, _CLOCK_XY[1]))
        return canvas.y.tobytes(), canvas.u.tobytes(), canvas.v.tobytes()

    def _turn(self, step: int) -> _Yuv:
        if step not in self._turns:
            picture = self._behind_vase.copy()
            turned = vase.turned(step / TURN_STEPS / vase.REPEATS)
            picture.paste(turned, (0, 0), turned)
            self._turns[step] = _yuv(picture)
        return self._turns[step]


def beat_strength(number: int) -> int:
    """How bright the light beside the clock is at a frame, 0 … 7: it flares with every chime and fades."""
    return max(0, _BEAT_STRENGTHS - 1 - number % BEAT_FRAMES // 4)


def _still(title: str) -> Image.Image:
    still = _gradient((WIDTH, HEIGHT), _DEEP, _NIGHT)
    _draw_niche(still)
    _draw_floor(still)
    _draw_stone(still)
    _draw_words(still, title)
    return still


def _gradient(size: tuple[int, int], top: RGB, bottom: RGB) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def _mask(*shapes: tuple[str, Box]) -> Image.Image:
    """A mask of ellipses and rectangles, drawn large so that its edges are smooth."""
    large = Image.new("L", (WIDTH * _SMOOTH, HEIGHT * _SMOOTH), 0)
    draw = ImageDraw.Draw(large)
    for shape, box in shapes:
        getattr(draw, shape)([value * _SMOOTH for value in box], fill=255)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def _draw_niche(still: Image.Image) -> None:
    """A rounded arch, lit warmly from above, with its glow on the wall."""
    left, top, right, bottom = _NICHE
    width = right - left
    arch = _mask(
        ("ellipse", (left, top, right, top + width)), ("rectangle", (left, top + width / 2, right, bottom))
    )
    glow = arch.filter(ImageFilter.GaussianBlur(52)).point([v // 3 for v in range(256)])
    still.paste(Image.new("RGB", still.size, _NICHE_TOP), (0, 0), glow)
    light = Image.new("RGB", still.size, _NICHE_LOW)
    light.paste(_gradient((width, bottom - top), _NICHE_TOP, _NICHE_LOW), (left, top))
    inner = arch.filter(ImageFilter.GaussianBlur(18)).point([max(0, v - 128) * 2 for v in range(256)])
    dim = Image.eval(light, lambda v: v * 7 // 10)
    still.paste(Image.composite(light, dim, inner), (0, 0), arch)


def _draw_floor(still: Image.Image) -> None:
    floor = _gradient((WIDTH, HEIGHT - _FLOOR_Y), (58, 62, 58), (9, 18, 21))
    still.paste(floor, (0, _FLOOR_Y))
    pool = _mask(("ellipse", (_MIDDLE - 190, _FLOOR_Y - 10, _MIDDLE + 190, _FLOOR_Y + 70)))
    soft = pool.filter(ImageFilter.GaussianBlur(16)).point([v // 3 for v in range(256)])
    soft.paste(0, (0, 0, WIDTH, _FLOOR_Y))
    still.paste(Image.new("RGB", still.size, _NICHE_TOP), (0, 0), soft)


def _draw_stone(still: Image.Image) -> None:
    """The round plinth that the vase stands on, with the vase's shadow."""
    left, right, y = _MIDDLE - _STONE_HALF, _MIDDLE + _STONE_HALF, _STONE_Y
    foot = y + _STONE_TALL
    cast = _mask(("ellipse", (left - 4, foot - 20, right + 34, foot + 34))).filter(
        ImageFilter.GaussianBlur(9)
    )
    still.paste(Image.eval(still, lambda v: v // 3), (0, 0), cast)
    side = _mask(("ellipse", (left, foot - 24, right, foot + 24)), ("rectangle", (left, y, right, foot)))
    still.paste(_lit_from_left(_STONE_SIDE), (0, 0), side)
    top = _mask(("ellipse", (left, y - 24, right, y + 24)))
    still.paste(_lit_from_left(_STONE_TOP), (0, 0), top)
    shadow = _mask(("ellipse", (_MIDDLE - 48, y - 10, _MIDDLE + 88, y + 18)))
    shadow = ImageChops.multiply(shadow.filter(ImageFilter.GaussianBlur(6)), top)
    still.paste(Image.eval(still, lambda v: v * 9 // 20), (0, 0), shadow)


def _lit_from_left(colour: RGB) -> Image.Image:
    r, g, b = colour
    dark = _gradient((HEIGHT, WIDTH), (r + 22, g + 22, b + 20), (r * 3 // 7, g * 3 // 7, b * 3 // 7))
    return dark.transpose(Image.Transpose.ROTATE_90)


def _draw_words(still: Image.Image, title: str) -> None:
    draw = ImageDraw.Draw(still)
    _draw_spaced(draw, 136, title.upper(), 21, 5)
    left, top = _CLOCK_XY
    right = left + _CLOCK_LENGTH * _CLOCK_CELL
    draw.rounded_rectangle([left - 40, top - 5, right + 14, top + 31], 18, fill=_INK)


def _draw_spaced(draw: ImageDraw.ImageDraw, y: int, text: str, size: int, gap: int) -> None:
    font = ImageFont.load_default(size)
    widths = [font.getlength(character) + gap for character in text]
    x = _MIDDLE - (sum(widths) - gap) / 2
    for character, width in zip(text, widths, strict=True):
        draw.text((x, y), character, font=font, fill=_CREAM)
        x += width


def _digits() -> dict[str, Image.Image]:
    """Luma of every character of the clock, each as wide as the others."""
    font = ImageFont.load_default(_CLOCK_SIZE)
    digits = {}
    for character in "0123456789:.":
        cell = Image.new("RGB", (_CLOCK_CELL, 26), _INK)
        x = (_CLOCK_CELL - font.getlength(character)) / 2
        ImageDraw.Draw(cell).text((x, -3), character, font=font, fill=_CREAM)
        digits[character] = _yuv(cell).y
    return digits


def _beats() -> list[_Yuv]:
    """The light beside the clock, in each strength."""
    beats, size = [], _BEAT_SIZE * 8
    for strength in range(_BEAT_STRENGTHS):
        large = Image.new("RGB", (size, size), _INK)
        level = 96 + strength * 22
        ImageDraw.Draw(large).circle(
            (size / 2, size / 2), 34 + strength * 3, (level, level * 2 // 5, level // 3)
        )
        beats.append(_yuv(large.resize((_BEAT_SIZE, _BEAT_SIZE), Image.Resampling.BOX)))
    return beats
