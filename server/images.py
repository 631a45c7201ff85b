"""Product images: whatever was uploaded is decoded within limits and kept as WebP in a few widths.

Nothing that came in is served as it came: re-encoding drops EXIF (places, owners), broken tails and scripts;
SVG is refused. Decoding runs in one thread off the loop: it costs up to a second, and 4 bytes a pixel.
"""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url
from PIL import Image, ImageCms, ImageOps

from server.problems import Problem

WIDTHS = (96, 320, 640, 1280)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_QUALITY = 82
_WAITING = 16
_DEADLINE_S = 30.0
_STORE_DEADLINE_S = 15.0
_SNIFFED = 4096


class ImageStore(Protocol):
    """Files by key. `put` raises Problem `storage_full`; both raise OSError where the store is down."""

    async def put(self, key: str, content: bytes) -> None: ...

    async def get(self, key: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """The original's size in pixels, upright, and WebP files by width."""

    width: int
    height: int
    files: Mapping[int, bytes]


class Images:
    """Turns uploads into files in the store. Use `close` at the end."""

    def __init__(self, store: ImageStore, *, most_pixels: int = 40_000_000) -> None:
        self._store, self._most_pixels = store, most_pixels
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._places = _WAITING

    async def render(self, raw: bytes) -> Rendered:
        """Raises Problem `not_an_image`, `svg_not_accepted`, `image_too_large`, `busy`."""
        if self._places <= 0:
            raise Problem("busy", "Too many images are being read.", retry_after_s=5)
        self._places -= 1
        future = self._thread.submit(render, raw, self._most_pixels)
        future.add_done_callback(lambda _: self._free_place())
        async with asyncio.timeout(_DEADLINE_S):
            return await asyncio.wrap_future(future)

    async def keep(self, image_id: str, rendered: Rendered) -> None:
        """Raises Problem `storage_full`."""
        for width, content in rendered.files.items():
            await self._store.put(_key(image_id, width), content)

    async def file(self, image_id: str, width: int) -> bytes | None:
        return await self._store.get(_key(image_id, width))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _free_place(self) -> None:
        self._places += 1


def _key(image_id: str, width: int) -> str:
    return f"images/{image_id}/{width}.webp"


def render(raw: bytes, most_pixels: int) -> Rendered:
    """The image in every width, never larger than it is. Blocking."""
    if _is_svg(raw):
        raise Problem("svg_not_accepted")
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            if image.width * image.height > most_pixels:
                raise Problem("image_too_large", f"{image.width} × {image.height} pixels.")
            image.draft("RGB", (2 * WIDTHS[-1], 2 * WIDTHS[-1]))  # JPEG decodes smaller at once
            scale = _original_size(raw)
            upright = ImageOps.exif_transpose(_in_srgb(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Problem("image_too_large") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError):
        raise Problem("not_an_image") from None
    width, height = scale if (scale[0] >= scale[1]) == (upright.width >= upright.height) else scale[::-1]
    return Rendered(width, height, {w: _webp(upright, w) for w in WIDTHS})


def _original_size(raw: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
        return image.size


def _is_svg(raw: bytes) -> bool:
    head = raw[:_SNIFFED].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith(b"<") and b"<svg" in head


def _in_srgb(image: Image.Image) -> Image.Image:
    """Pixels as browsers show them without a profile. A profile that can't be read is ignored."""
    image.load()
    mode = "RGBA" if image.has_transparency_data else "RGB"
    profile = image.info.get("icc_profile")
    exif = image.getexif()
    shown = image.convert(mode)
    if profile and image.mode in ("RGB", "RGBA"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            ImageCms.profileToProfile(shown, source, ImageCms.createProfile("sRGB"), inPlace=True)
        except (ImageCms.PyCMSError, OSError):
            pass
    shown.info["exif"] = exif.tobytes()  # the orientation, until the image is upright
    return shown


def _webp(image: Image.Image, width: int) -> bytes:
    shown = image
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        shown = image.resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    shown.save(out, "WEBP", quality=_QUALITY, method=4, exif=b"", icc_profile=b"")
    return out.getvalue()


class ObjectImages:
    """An image store on a local directory or S3, by obstore."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, data_dir: Path) -> ObjectImages:
        """`file:///path`, `s3://bucket/prefix`, or "" for `media` below the data directory."""
        if url.startswith("s3:"):
            return cls(from_url(url))
        directory = Path(url.removeprefix("file://")) if url else data_dir / "media"
        directory.mkdir(parents=True, exist_ok=True)
        return cls(LocalStore(directory))

    async def put(self, key: str, content: bytes) -> None:
        try:
            async with asyncio.timeout(_STORE_DEADLINE_S):
                await obstore.put_async(self._store, key, content, use_multipart=False)
        except (OSError, BaseError) as error:
            raise _trouble(error) from error

    async def get(self, key: str) -> bytes | None:
        try:
            async with asyncio.timeout(_STORE_DEADLINE_S):
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError, ValueError):  # ValueError: not a key at all
            return None
        except BaseError as error:
            raise _trouble(error) from error


def _trouble(error: Exception) -> Exception:
    """A full disk has an answer of its own; everything else is a store that is down."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or any(sign in str(error) for sign in ("os error 28", "os error 122", "No space left")):
        return Problem("storage_full")
    return OSError(f"the image store failed: {type(error).__name__}: {error}")
