"""A buyer's client as the pages have it: asks until it has an answer, always with the same order id.

Over the websocket and over HTTP, now this, now that; a lost connection, a silent server, `unavailable` and
`busy` are no answers. What it was told at last is what the books are held against.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import uuid_utils
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from loadtests.commerce.rig import SESSION_COOKIE, Rig

ANSWER_S = 6.0  # a little more than the room's own deadline
GIVE_UP_S = 45.0
NO_ANSWER = frozenset({"unavailable", "busy", "rate_limited"})
GONE = (OSError, TimeoutError, WebSocketException, InvalidHandshake, aiohttp.ClientError)


class NotAnswered(Exception):
    """The server gave no answer to a tap however often it was asked."""


@dataclass(slots=True)
class Answer:
    """What a tap was told at last: an order's state, or why there is none. `took_s` from the first try."""

    order_id: str
    state: str | None
    refused: str | None
    took_s: float
    tries: int
    order: dict[str, Any] = field(default_factory=dict)


class Client:
    """One person at one shop. `show_id` names the room that is entered."""

    def __init__(
        self, rig: Rig, http: aiohttp.ClientSession, show_id: str, user_id: str, cookie: str
    ) -> None:
        self.user_id = user_id
        self._rig, self._http, self._show_id = rig, http, show_id
        self._headers = {"Cookie": f"{SESSION_COOKIE}={cookie}", "Origin": rig.url("web")}
        self._socket: ClientConnection | None = None

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    # Taps

    async def tap(self, lines: list[dict[str, Any]], *, over_http: float = 0.3) -> Answer:
        """Ask until there is an answer. `over_http`: the share of tries over HTTP. Raises NotAnswered."""
        order_id, command_id = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
        began, tries = time.monotonic(), 0
        while time.monotonic() - began < GIVE_UP_S:
            tries += 1
            try:
                async with asyncio.timeout(ANSWER_S):
                    ask = self._by_http if random.random() < over_http else self._by_socket
                    answer = await ask(order_id, command_id, lines)
            except GONE:
                self._drop()
                answer = {"code": "unavailable"}
            took_s = time.monotonic() - began
            if "state" in answer:
                return Answer(order_id, answer["state"], None, took_s, tries, answer)
            if answer["code"] not in NO_ANSWER:
                return Answer(order_id, None, answer["code"], took_s, tries)
            await asyncio.sleep(random.uniform(0.1, 0.6))
        raise NotAnswered(order_id)

    async def _by_http(self, order_id: str, _: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        body = {"id": order_id, "show_id": self._show_id, "lines": lines}
        return await self.call("POST", "/api/orders", body)

    async def _by_socket(self, order_id: str, command_id: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        command = {"type": "buy", "id": command_id, "order_id": order_id, "lines": lines}
        frame = await self._said(command)
        found: dict[str, Any] = frame["order"] if frame["type"] == "ack" else frame
        return found

    async def command(self, command: dict[str, Any], *, within_s: float) -> dict[str, Any] | None:
        """The room's `ack` or `refused` of a command, asked again under its id while there is none."""
        known = {"id": str(uuid_utils.uuid7()), **command}
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s:
            try:
                async with asyncio.timeout(ANSWER_S):
                    frame = await self._said(known)
                if frame.get("code") not in NO_ANSWER:
                    return frame
            except GONE:
                self._drop()
            await asyncio.sleep(random.uniform(0.1, 0.4))
        return None

    async def _said(self, command: dict[str, Any]) -> dict[str, Any]:
        socket = await self._connected()
        await socket.send(msgspec.json.encode(command).decode())
        while True:
            frame: dict[str, Any] = msgspec.json.decode(await socket.recv())
            if frame.get("id") == command["id"]:
                return frame

    async def _connected(self) -> ClientConnection:
        if self._socket is None:
            ticket = await self.call("POST", f"/api/shows/{self._show_id}/room-ticket", {})
            if "ticket" not in ticket:
                raise OSError(f"no ticket: {ticket}")
            self._socket = await connect(
                self._rig.url("overlay", "ws"), compression=None, open_timeout=ANSWER_S, close_timeout=1
            )
            hello = {"type": "hello", "protocol": 1, "show_id": self._show_id, "ticket": ticket["ticket"]}
            await self._socket.send(msgspec.json.encode(hello).decode())
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.transport.abort()
            self._socket = None

    # Everything else

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The API's answer, or its problem with a `code`. A 5xx without one is `unavailable`."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with self._http.request(
            method, self._rig.url("web") + path, json=body, headers=self._headers, timeout=timeout
        ) as response:
            if response.content_type not in ("application/json", "application/problem+json"):
                return {"code": "unavailable"}
            found = await response.json()
            if response.status >= 500:
                return {"code": "unavailable"}
            return dict(found)

    async def ask(
        self, method: str, path: str, body: object = None, *, within_s: float = 8.0
    ) -> dict[str, Any]:
        """Like `call`, again while there is no answer; the last of what was said."""
        ends_s = time.monotonic() + within_s
        answer: dict[str, Any] = {"code": "unavailable"}
        while time.monotonic() < ends_s:
            try:
                answer = await self.call(method, path, body)
                if answer.get("code") not in NO_ANSWER:
                    return answer
            except GONE:
                pass
            await asyncio.sleep(random.uniform(0.1, 0.4))
        return answer

    async def authenticate(self, client_secret: str, outcome: str) -> None:
        """The bank's page: `outcome` is approve or refuse. Whether it was heard shows in the order."""
        intent = client_secret.split("_secret", maxsplit=1)[0]
        form = {"client_secret": client_secret, "outcome": outcome, "key": self._rig.publishable_key}
        for _ in range(10):
            try:
                timeout = aiohttp.ClientTimeout(total=ANSWER_S)
                url = self._rig.url("simulator") + f"/_3ds/{intent}"
                async with self._http.post(url, data=form, timeout=timeout) as response:
                    await response.read()
                    return
            except GONE:
                await asyncio.sleep(0.2)


class Provider:
    """The payment provider from its inside: what it has, and what happens there without the shop."""

    def __init__(self, rig: Rig, http: aiohttp.ClientSession) -> None:
        self._base, self._http = rig.url("simulator"), http
        self._headers = {"Authorization": f"Bearer {rig.secret_key}"}

    async def payments(self) -> list[dict[str, Any]]:
        async with self._http.get(self._base + "/v1/_audit", headers=self._headers) as answer:
            found: list[dict[str, Any]] = (await answer.json())["payment_intents"]
            return found

    async def act(self, path: str, **form: str) -> None:
        """What is not possible any more (refunded by the shop meanwhile) is refused, and that is fine."""
        async with self._http.post(self._base + path, data=form, headers=self._headers) as answer:
            await answer.read()
