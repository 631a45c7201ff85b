"""HTTP as the resources see it: what may come in, how errors go out, and that any page may ask (CORS)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from .errors import MalformedError, SignalError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
BODY_S = 10.0
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
JSON = "application/json"

CORS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Location, ETag, Link, Retry-After, Accept-Patch, Accept-Post",
}
PREFLIGHT = {
    "access-control-allow-methods": "POST, PATCH, DELETE, OPTIONS, GET, HEAD",
    "access-control-allow-headers": "Authorization, Content-Type, If-Match, Link",
    "access-control-max-age": "86400",
    "accept-post": SDP,
    "accept-patch": FRAGMENT,
}

Handler = Callable[[Request], Awaitable[Response]]


def is_preflight(request: Request) -> bool:
    """A browser asks on its own account (Fetch 3.2.2), and has no use for STUN servers (RFC 9725 4.6)."""
    return "access-control-request-method" in request.headers


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def has_body(request: Request) -> bool:
    return int_header(request.headers, "content-length") > 0 or "transfer-encoding" in request.headers


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, media_type: str) -> str:
    stated = media_type_of(request)
    if stated != media_type:
        raise SignalError(f"send {media_type}, not {stated or 'nothing'}", code="media_type", status=415)
    too_large = SignalError(f"the body is over {MAX_BODY_BYTES} bytes", code="body_too_large", status=413)
    if int_header(request.headers, "content-length") > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise SignalError("the body did not arrive in time", code="body_timeout", status=408) from error
    except ClientDisconnect as error:
        raise MalformedError("the client went away", code="body_incomplete") from error
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("the body is not UTF-8", code="malformed_text") from error


def int_header(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0


def guarded(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except SignalError as error:
            response = problem(error)
        except Exception:
            log.exception("a %s could not be answered", request.method)  # paths hold capabilities
            response = problem(SignalError("this is a fault of ours; try again"))
        response.headers.update(CORS)
        return response

    return answer


async def unrouted(request: Request, error: Exception) -> Response:
    """No such path, or a method that it doesn't know: 405 says in `Allow` which it does (RFC 9110 15.5.6)."""
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    detail = f"{request.method} is not for this address" if error.status_code == 405 else "nothing is here"
    response = problem(SignalError(detail, code=code, status=error.status_code))
    response.headers.update({**(error.headers or {}), **CORS})
    return response


def problem(error: SignalError) -> Response:
    body = {
        "type": f"urn:hawker:problem:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    return Response(
        json.dumps(body),
        status_code=error.status,
        headers=dict(error.headers()),
        media_type="application/problem+json",
    )
