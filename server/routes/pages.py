"""The built pages: each address has an HTML entry; hashed files are kept for ever, the rest asked again."""

from __future__ import annotations

import mimetypes
import re
from email.utils import formatdate
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import FileResponse, Response

_UUID = r"[0-9a-fA-F-]{36}"
_ENTRIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"/shows/{_UUID}/?"), "show"),
    (re.compile(rf"/studio/{_UUID}/?"), "studio"),
    (re.compile(rf"/console/{_UUID}/?"), "console"),
    (re.compile(r"/|/(products|account|orders|office|auctions)(/.*)?|/invite/?|/shows/?"), "shop"),
)
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_NOT_BUILT = (
    "<!doctype html><meta charset=utf-8><title>Hawker</title>"
    "<p>The pages are not built yet. Run <code>make web</code>, then reload."
)


class Found(NamedTuple):
    file: Path
    status: int


class Pages:
    """Serves `dist`. Only regular files inside it; `..` and links that lead out are not followed."""

    def __init__(self, dist: Path) -> None:
        self._dist = dist.resolve()

    def respond(self, request: Request) -> Response:
        path = request.url.path
        found = self.find(path)
        if found is None:
            return Response(_NOT_BUILT, 503, {"retry-after": "5"}, "text/html; charset=utf-8")
        file, encoding = _encoded(found.file, request.headers.get("accept-encoding", ""))
        headers = self._headers(path, found, file, encoding)
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(b"", 304, headers)
        return FileResponse(file, found.status, headers, _media_type(found.file))

    def find(self, path: str) -> Found | None:
        """The file for an address: a built file, a page's entry, or the shop's entry with 404. None when
        nothing is built."""
        if (file := self._file(path)) is not None:
            return Found(file, 200)
        name = next((entry for pattern, entry in _ENTRIES if pattern.fullmatch(path)), None)
        entry = self._dist / (name or "shop") / "index.html"
        return Found(entry, 200 if name else 404) if entry.is_file() else None

    def _file(self, path: str) -> Path | None:
        if "\x00" in path or path.endswith(("/", ".html", ".br", ".gz")):
            return None
        file = (self._dist / path.lstrip("/")).resolve()
        return file if file.is_relative_to(self._dist) and file.is_file() else None

    def _headers(self, path: str, found: Found, file: Path, encoding: str | None) -> dict[str, str]:
        stat = file.stat()
        mark = blake2b(f"{file.name}{stat.st_mtime_ns}{stat.st_size}".encode(), digest_size=12).hexdigest()
        hashed = found.file.is_relative_to(self._dist / "assets")
        headers = {
            "etag": f'"{mark}"',
            "last-modified": formatdate(stat.st_mtime, usegmt=True),
            "cache-control": _FOR_EVER if hashed else _ASK_AGAIN,
            "vary": "accept-encoding",
        }
        return headers | ({"content-encoding": encoding} if encoding else {})


def _encoded(file: Path, accepted: str) -> tuple[Path, str | None]:
    """A precompressed sibling that the client takes, if the build made one."""
    offered = {part.partition(";")[0].strip() for part in accepted.split(",") if "q=0" not in part}
    for encoding, suffix in _ENCODINGS:
        sibling = file.with_name(file.name + suffix)
        if encoding in offered and sibling.is_file():
            return sibling, encoding
    return file, None


def _media_type(file: Path) -> str:
    if file.suffix == ".webmanifest":
        return "application/manifest+json"
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    textual = kind.startswith("text/") or kind in {"application/javascript", "application/json"}
    return f"{kind}; charset=utf-8" if textual else kind
