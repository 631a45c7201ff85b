"""The WHEP client of an edge (draft-ietf-wish-whep): offer, layer, events, goodbye, each with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

ASK_S = 4.0
EVENT_GAP_S = 40.0
"""The origin sends at least a comment every 15 s."""
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_EVENT_BYTES = 64 * 1024
EVENTS = "layers,reconnect"


class PullError(Exception):
    """The origin can't be pulled from now. `code` is stable; the message says what it answered."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Resource:
    """One WHEP session at an origin."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def prefer(self, rid: str) -> None:
        async with _deadline():
            async with self._http.post(f"{self.url}/layer", json={"rid": rid}) as response:
                _expect(response, 200)

    async def events(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Layers and whether to move on, until the origin ends them."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ASK_S, sock_read=EVENT_GAP_S)
        url = f"{self.url}/sse?events={EVENTS}"
        async with self._http.get(url, timeout=timeout) as response:
            _expect(response, 200)
            text = ""
            async for chunk in response.content.iter_any():
                text += chunk.decode(errors="replace")
                *whole, text = text.split("\n\n")
                if len(text) > _MAX_EVENT_BYTES:
                    raise PullError("origin_events", "an event without an end")
                for block in whole:
                    if (event := _read_event(block)) is not None:
                        yield event

    async def delete(self) -> None:
        """As far as it can be said: an origin that doesn't hear it notices the silence."""
        with contextlib.suppress(PullError, aiohttp.ClientError, OSError):
            async with _deadline():
                async with self._http.delete(self.url):
                    pass


async def begin(http: aiohttp.ClientSession, origin: str, ticket: str, offer: str) -> tuple[Resource, str]:
    """A session and the origin's answer; PullError. `origin` is the base URL of the node's HTTP."""
    async with _deadline():
        async with http.post(
            f"{origin}/whep",
            params={"ticket": ticket},
            data=offer,
            headers={"content-type": "application/sdp"},
            allow_redirects=False,
        ) as response:
            _expect(response, 201)
            answer = await _whole(response)
            # Only the name: the rest is where the public reaches it, which may not be where we do.
            session = urlsplit(response.headers.get("location", "")).path.rpartition("/")[2]
    if not session:
        raise PullError("origin_answer", "a session without a Location")
    return Resource(http, f"{origin}/whep/{session}"), answer


async def _whole(response: aiohttp.ClientResponse) -> str:
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise PullError("origin_answer", f"more than {_MAX_ANSWER_BYTES} bytes")
    return body.decode(errors="replace")


@contextlib.asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ASK_S):
            yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise PullError("origin_unreachable", repr(error)) from error


def _expect(response: aiohttp.ClientResponse, status: int) -> None:
    if response.status != status:
        raise PullError("origin_refused", f"{response.method} {response.url.path}: {response.status}")


def _read_event(block: str) -> tuple[str, dict[str, Any]] | None:
    fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
    try:
        data = json.loads(fields.get("data", "{}"))
    except ValueError:
        return None
    return (fields["event"], data) if "event" in fields and isinstance(data, dict) else None
