"""A running simulator with the real stripe client beside it, and a place for its webhooks to go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import stripe

from server.payments.gateway import StripeGateway
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings

SECRET, PUBLISHABLE, SIGNING = "sk_test_shop", "pk_test_shop", "whsec_shop"


@dataclass
class Clock:
    """Time that moves when told to."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Provider:
    """A simulator at work and the ways to it: the SDK, the gateway, a browser."""

    url: str
    settings: SimulatorSettings
    clock: Clock
    api: stripe.StripeClient
    gateway: StripeGateway
    http: httpx.AsyncClient

    async def browser(self, path: str, **form: str) -> httpx.Response:
        return await self.http.post(path, data={"key": PUBLISHABLE, **form})

    async def authenticate(self, intent_id: str, client_secret: str, outcome: str) -> httpx.Response:
        return await self.browser(f"/_3ds/{intent_id}", client_secret=client_secret, outcome=outcome)

    async def admin(self, path: str, setting: dict[str, Any]) -> httpx.Response:
        return await self.http.post(path, json=setting, headers={"Authorization": f"Bearer {SECRET}"})

    async def faults(self, **plan: Any) -> None:
        (await self.admin("/_faults", plan)).raise_for_status()

    async def audit(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/v1/_audit", headers={"Authorization": f"Bearer {SECRET}"})
        intents: list[dict[str, Any]] = answer.raise_for_status().json()["payment_intents"]
        return intents

    async def customer(self) -> str:
        return (await self.api.v1.customers.create_async({"email": "ada@example.org"})).id

    async def saved_card(self, customer: str, card: str = "pm_card_visa") -> str:
        return (await self.api.v1.payment_methods.attach_async(card, {"customer": customer})).id

    async def cards(self, customer: str) -> list[str]:
        found = await self.api.v1.payment_methods.list_async({"customer": customer, "type": "card"})
        return [card.id for card in found.data]


@contextlib.asynccontextmanager
async def sdk(url: str) -> AsyncIterator[stripe.StripeClient]:
    """The real client, closed afterwards."""
    stripe.enable_telemetry = False
    http = stripe.AIOHTTPClient(
        timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=100)
    )
    yield stripe.StripeClient(SECRET, base_addresses={"api": url}, http_client=http, max_network_retries=0)
    await http.close_async()


@contextlib.asynccontextmanager
async def running(settings: SimulatorSettings, clock: Clock | None = None) -> AsyncIterator[Provider]:
    """A simulator in this loop, with clients that are closed before it."""
    clock = clock or Clock()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    program = asyncio.create_task(serve(settings, ready.set_result, clock))
    await asyncio.wait([program, ready], return_when=asyncio.FIRST_COMPLETED)
    if program.done():
        await program
    url = await ready
    gateway = StripeGateway(SECRET, base_url=url, timeout_s=30)
    try:
        async with sdk(url) as api, httpx.AsyncClient(base_url=url, timeout=30) as http:
            yield Provider(url, settings, clock, api, gateway, http)
            await gateway.close()
    finally:
        program.cancel()
        await asyncio.gather(program, return_exceptions=True)


Start = Callable[..., "contextlib.AbstractAsyncContextManager[Provider]"]


@pytest.fixture
def settings(tmp_path: Path) -> SimulatorSettings:
    return SimulatorSettings(SECRET, PUBLISHABLE, tmp_path / "simulator.db")


@pytest.fixture
def start(settings: SimulatorSettings) -> Start:
    """Starts a simulator on this test's state, with settings of its own."""
    return lambda clock=None, **changes: running(replace(settings, **changes), clock)


@pytest.fixture
async def provider(start: Start) -> AsyncIterator[Provider]:
    async with start() as provider:
        yield provider


@dataclass
class Inbox:
    """A webhook endpoint: keeps what it gets, answers what `statuses` say, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        body = await reader.readexactly(int(headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        async with self._news:
            self.received.append((headers, body))
            self._news.notify_all()


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    server = await asyncio.start_server(inbox.take, "127.0.0.1", 0)
    inbox.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks/stripe?shop=1"
    yield inbox
    server.close()
    await server.wait_closed()


Raised = Callable[[Awaitable[Any]], Awaitable[stripe.StripeError]]


@pytest.fixture
def refusal() -> Raised:
    """The error that a call meets; the test fails when it meets none."""

    async def of(call: Awaitable[Any]) -> stripe.StripeError:
        with pytest.raises(stripe.StripeError) as caught:
            await call
        return caught.value

    return of
