"""Bodies and queries as structs: bounded in bytes and time, unknown fields refused, every fault named."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from server.problems import Problem

T = TypeVar("T", bound=msgspec.Struct)

JSON_MOST_BYTES = 65_536
_DEADLINE_S = 10.0
_SLOWEST_BYTES_PER_S = 20_000
_FAULT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:missing required field|contains unknown field) `(?P<field>[^`]*)`")


async def json_body(request: Request, kind: type[T]) -> T:
    _check_content_type(request, ("application/json",))
    raw = await read(request, JSON_MOST_BYTES)
    if b"\\u0000" in raw:
        raise Problem("bad_text")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Problem("invalid_body", str(error), fields=_fault(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("bad_json", str(error)) from None


def query(request: Request, kind: type[T]) -> T:
    given = {name: value for name, value in request.query_params.items() if value != ""}
    if any("\x00" in value for value in given.values()):
        raise Problem("invalid_query")
    try:
        return msgspec.convert(given, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("invalid_query", str(error), fields=_fault(error)) from None


async def upload(request: Request, content_types: Sequence[str], most_bytes: int) -> bytes:
    """A raw body. `X-Hawker: 1` is asked for, since forms of other sites can't send it."""
    _check_content_type(request, content_types)
    if request.headers.get("x-hawker") != "1":
        raise Problem("cross_site", "The header `X-Hawker: 1` is missing.")
    return await read(request, most_bytes)


async def read(request: Request, most_bytes: int) -> bytes:
    """The body. Raises Problem `too_large` before more than that was read, `too_slow`."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    kept = bytearray()
    try:
        async with asyncio.timeout(_DEADLINE_S + most_bytes / _SLOWEST_BYTES_PER_S):
            async for chunk in request.stream():
                kept += chunk
                if len(kept) > most_bytes:
                    raise _too_large(most_bytes)
    except (TimeoutError, ClientDisconnect):
        raise Problem("too_slow") from None
    return bytes(kept)


def _too_large(most_bytes: int) -> Problem:
    return Problem("too_large", f"At most {most_bytes:,} bytes are taken here.")


def _check_content_type(request: Request, accepted: Sequence[str]) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not any(
        given == kind or (kind.endswith("/*") and given.startswith(kind.removesuffix("*")))
        for kind in accepted
    ):
        raise Problem("wrong_content_type", f"Send {' or '.join(accepted)}.")


def _fault(error: msgspec.ValidationError) -> dict[str, str]:
    """`Expected … - at `$.email`` → {"email": "Expected …"}; faults of the whole body have no field."""
    match = _FAULT.match(str(error))
    assert match is not None
    what, where = match["what"], match["where"] or ""
    named = _NAMED.search(what)
    field = ".".join(part for part in (where, named["field"] if named else "") if part)
    return {field: what} if field else {}
