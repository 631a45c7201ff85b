"""A whole web role in process: real PostgreSQL and Valkey, the real checkout, a clock that tests turn.

`web` has a payment provider that nobody answers for; `paying_web` has the payment simulator behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from overlay.log import ShowLog, open_redis
from server.app.checkout import charging, open_gateway
from server.app.rooms import LogRooms
from server.auth.passwords import Passwords
from server.auth.staff import create_owner
from server.checkout.wiring import Checkout
from server.config import Settings
from server.images import Images, ObjectImages
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings
from server.routes.app import build
from server.routes.deps import Deps
from server.routes.wiring import wire
from server.store import staff
from server.store.pool import Pool, open_pool, transaction

PUBLIC_URL = "http://shop.test"
PASSWORD = "a long enough password"
SECRET, PUBLISHABLE, SIGNING = "sk_test_shop", "pk_test_shop", "whsec_shop"
NOBODY = "http://127.0.0.1:9"


@dataclass
class Clock:
    """Real time plus what tests add: stores compare with their own clocks, too."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Web:
    deps: Deps
    app: Any
    clock: Clock
    provider_url: str
    log: ShowLog
    checkout: Checkout
    addresses: Iterator[int] = field(default_factory=itertools.count)

    def rebuilt(self, *, settings: Settings | None = None, redis: Redis | None = None) -> Any:
        """The same application with other settings, or with another Redis."""
        deps = self.deps
        return build(
            wire(
                settings or deps.settings,
                deps.pool,
                redis or deps.redis,
                dist=deps.dist,
                passwords=deps.accounts.passwords,
                images=deps.images,
                checkout=self.checkout,
                rooms=deps.rooms,
                cards=deps.cards,
            )
        )

    def browser(self, ip: str = "192.0.2.1") -> httpx.AsyncClient:
        """A browser of its own, with its own cookies, on one of our pages."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(ip, 50000)),
            base_url=PUBLIC_URL,
            headers={"origin": PUBLIC_URL},
        )

    async def signed_in(self, *roles: str, name: str = "Ada Lovelace") -> httpx.AsyncClient:
        """A new person with these roles, signed in."""
        browser = self.browser(f"198.51.100.{next(self.addresses) % 250}")
        name_of_their_own = "".join(secrets.choice(ascii_lowercase) for _ in range(12))
        email = f"{name_of_their_own}@example.com"  # without digits: orders are searched for by number, too
        body = {"email": email, "password": PASSWORD, "display_name": name}
        answer = await browser.post("/api/auth/sign-up", json=body)
        assert answer.status_code == 201, answer.text
        async with transaction(self.deps.pool) as db:
            shop = await staff.the_shop(db)
            assert shop is not None
            for role in roles:
                await staff.add_member(db, shop.id, answer.json()["id"], role)
        return browser

    async def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        async with transaction(self.deps.pool) as db:
            records = await db.fetch("SELECT payload FROM outbox WHERE kind = 'mail' ORDER BY id")
        return [r["payload"] for r in records if to is None or r["payload"].get("to") == to]


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(migrated_database_url) as pool:
        yield pool


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


@pytest.fixture
def cheap_passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def web(pool: Pool, redis: Redis, cheap_passwords: Passwords, tmp_path: Path) -> AsyncIterator[Web]:
    async with assembled(pool, redis, cheap_passwords, tmp_path, NOBODY) as web:
        yield web


@pytest.fixture
async def paying_web(
    pool: Pool, redis: Redis, cheap_passwords: Passwords, tmp_path: Path
) -> AsyncIterator[Web]:
    settings = SimulatorSettings(SECRET, PUBLISHABLE, tmp_path / "simulator.db")
    async with running_simulator(settings) as url:
        async with assembled(pool, redis, cheap_passwords, tmp_path, url) as web:
            yield web


@contextlib.asynccontextmanager
async def running_simulator(settings: SimulatorSettings) -> AsyncIterator[str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    program = asyncio.create_task(serve(settings, ready.set_result))
    try:
        async with asyncio.timeout(30):
            yield await ready
    finally:
        program.cancel()
        await asyncio.gather(program, return_exceptions=True)


@contextlib.asynccontextmanager
async def assembled(
    pool: Pool, redis: Redis, passwords: Passwords, tmp_path: Path, provider_url: str
) -> AsyncIterator[Web]:
    clock = Clock()
    settings = Settings(
        public_url=PUBLIC_URL,
        overlay_public_url="ws://overlay.test:1",
        stream_public_url="http://stream.test:2",
        trusted_proxies=("203.0.113.0/24",),
        data_dir=tmp_path / "data",
        stripe_secret_key=SECRET,
        stripe_publishable_key=PUBLISHABLE,
        stripe_webhook_secret=SIGNING,
        stripe_api_url=provider_url,
        demo=True,
    )
    await create_owner(pool, "Owner@example.com", "Grace Hopper", PASSWORD, passwords)
    images, log = Images(ObjectImages.open("", settings.data_dir)), ShowLog(redis)
    async with open_gateway(settings, redis) as gateway, charging(pool, redis, gateway) as checkout:
        deps = wire(
            settings,
            pool,
            redis,
            dist=tmp_path / "dist",
            passwords=passwords,
            images=images,
            checkout=checkout,
            rooms=LogRooms(log, redis),
            cards=gateway,
            clock=clock,
        )
        yield Web(deps, build(deps), clock, provider_url, log, checkout)
    images.close()
    passwords.close()
