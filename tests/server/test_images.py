"""Images: what comes in is decoded within limits, and nothing of it but pixels goes out."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image

from server.images import WIDTHS, Images, ObjectImages, render
from server.problems import Problem


def encoded(image: Image.Image, form: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_every_usual_format_becomes_webp(form: str) -> None:
    done = render(encoded(Image.new("RGB", (700, 500), "#225588"), form), 1_000_000)
    assert (done.width, done.height) == (700, 500)
    assert {w: opened(f).size for w, f in done.files.items()} == {
        96: (96, 69),
        320: (320, 229),
        640: (640, 457),
        1280: (700, 500),
    }
    assert {opened(file).format for file in done.files.values()} == {"WEBP"}


def test_where_a_photo_was_taken_is_dropped_and_it_stands_upright() -> None:
    photo = Image.new("RGB", (400, 200), "#88aa22")
    exif = photo.getexif()
    exif[0x0112] = 6  # turned by 90°
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    exif[0x010E] = "secret"
    done = render(encoded(photo, "JPEG", exif=exif), 1_000_000)
    assert (done.width, done.height) == (200, 400)
    for content in done.files.values():
        shown = opened(content)
        assert shown.height > shown.width
        assert dict(shown.getexif()) == {}
        assert b"secret" not in content


def test_transparency_stays() -> None:
    done = render(encoded(Image.new("RGBA", (300, 300), (0, 0, 0, 0))), 1_000_000)
    assert opened(done.files[96]).convert("RGBA").getpixel((5, 5))[3] == 0


def test_a_large_photo_keeps_its_real_size() -> None:
    done = render(encoded(Image.new("RGB", (6000, 4000)), "JPEG"), 40_000_000)
    assert (done.width, done.height) == (6000, 4000)
    assert opened(done.files[1280]).size == (1280, 853)


@pytest.mark.parametrize("pixels", [(1001, 1000), (20_000, 15_000)])
def test_too_many_pixels_are_never_decoded(pixels: tuple[int, int]) -> None:
    content = encoded(Image.new("1", pixels))
    with pytest.raises(Problem) as refused:
        render(content, 1_000_000)
    assert refused.value.code == "image_too_large"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"%PDF-1.7",
        b"\xff\xd8\xff\xe0" + b"\x00" * 100,
        encoded(Image.effect_noise((99, 99), 9))[:2000],
    ],
)
def test_broken_files_are_no_images(content: bytes) -> None:
    with pytest.raises(Problem) as refused:
        render(content, 1_000_000)
    assert refused.value.code == "not_an_image"


@pytest.mark.parametrize("head", [b"<svg ", b"\xef\xbb\xbf  <?xml ?><!-- x --><svg", b"<!DOCTYPE svg><SVG "])
def test_svg_is_known_by_its_content(head: bytes) -> None:
    with pytest.raises(Problem) as refused:
        render(head + b" onload='x()'/>", 1_000_000)
    assert refused.value.code == "svg_not_accepted"


async def test_files_are_kept_on_disk_and_found_again(tmp_path: Path) -> None:
    images = Images(ObjectImages.open(f"file://{tmp_path}/kept", tmp_path))
    await images.keep("abc", await images.render(encoded(Image.new("RGB", (50, 50)))))
    for width in WIDTHS:
        found = await images.file("abc", width)
        assert found is not None
        assert opened(found).size == (50, 50)
    assert await images.file("nothing", 96) is None
    assert await images.file("../../etc/passwd", 96) is None
    images.close()


async def test_only_so_many_wait() -> None:
    images = Images(None)  # type: ignore[arg-type]
    content = encoded(Image.new("RGB", (600, 600)))
    done = await asyncio.gather(*(images.render(content) for _ in range(30)), return_exceptions=True)
    codes = {one.code for one in done if isinstance(one, Problem)}
    assert codes == {"busy"}
    assert any(not isinstance(one, BaseException) for one in done)
    images.close()
