"""Real stores for tests: ours from the wheels, or those of HAWKER_DATABASE_URL and HAWKER_REDIS_URL.

Every xdist worker has stores of its own (or, on external ones, names of its own), so workers never meet.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import inspect
import itertools
import os
import pkgutil
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
import redis

from server.embedded import postgres, valkey

T = TypeVar("T")

# The same examples for everybody, however slow the machine; `--hypothesis-profile=default` finds others.
hypothesis.settings.register_profile(
    "same_for_all", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same_for_all")


_PATIENCE_S = 60
_DEADLINES = {
    "overlay.log": ("ShowLog.__init__", "open_redis"),
    "overlay.listener": ("DEADLINE_S",),
    "overlay.rooms": ("STORE_DEADLINE_S",),
    "server.app.doorman": ("ACQUIRE_TIMEOUT_S",),
    "server.auth.limits": ("_DEADLINE_S",),
    "server.auth.revocations": ("_DEADLINE_S",),
    "server.checkout.auctions.presence": ("_DEADLINE_S",),
    "server.checkout.auctions.teller": ("_DEADLINE_S",),
    "server.checkout.ways.announcer": ("DEADLINE_S",),
    "server.embedded.stores": ("_CONNECT_S",),
    "server.media": ("NODE_LIFE_S", "_DEADLINE_S"),
    "server.routes.health": ("_DEADLINE_S",),
    "server.store.database": ("ACQUIRE_TIMEOUT_S",),
    "server.store.gate_link": ("GateLink.__init__",),
    "server.store.inventory": ("RedisInventory.__init__",),
    "server.store.placing": ("ACQUIRE_TIMEOUT_S",),
    "server.store.pool": ("ACQUIRE_TIMEOUT_S", "CONNECT_TIMEOUT_S"),
    "server.store.turns": ("SharedTurns.__init__",),
    "server.tickets": ("_DEADLINE_S",),
}


@pytest.fixture(scope="session", autouse=True)
def _stores_may_take_their_time() -> Iterator[None]:
    """A busy machine holds a store, or us, up for seconds. Who is silent is whom a test made so."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in _DEADLINES.items():
            for name in names:
                place = f"{module}.{name}"
                if name.isupper():
                    patch.setattr(place, _PATIENCE_S)
                else:
                    defaults = pkgutil.resolve_name(place).__kwdefaults__
                    assert "deadline_s" in defaults
                    patch.setitem(defaults, "deadline_s", _PATIENCE_S)
        yield


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own, leaving pytest-asyncio's current loop alone."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


@dataclass
class Databases:
    """Makes and drops databases on one PostgreSQL server. Call it from fixtures and synchronous tests."""

    admin_url: str
    created: list[str] = field(default_factory=list)

    def url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}")).replace(":///", "://@/")

    def create(self, template: str | None = None) -> str:
        """The URL of a new database, empty or a copy of the database whose URL is `template`."""
        name = f"test_{secrets.token_hex(6)}"
        source = urlsplit(template).path[1:] if template else "template0"
        _wait_for(self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'))
        self.created.append(name)
        return self.url_of(name)

    def drop(self, url: str) -> None:
        name = urlsplit(url).path[1:]
        self.created.remove(name)
        _wait_for(self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.admin_url, timeout=30)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


def _are_free(ports: range) -> bool:
    with contextlib.ExitStack() as held:
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                try:
                    held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
                except OSError:
                    return False
    return True


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], int]:
    """`free_ports(3)`: the first of three in a row, for another process to take. Nobody is given them twice.

    They lie below what the system hands out, and each xdist worker has a range of its own, so that nobody
    takes them in the meantime.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = 20_000 + 1_500 * (worker % 6) + random.randrange(500)
    numbers = itertools.count(start)

    def take(count: int) -> int:
        while True:
            ports = range(first := next(numbers), first + count)
            if _are_free(ports):
                collections.deque(itertools.islice(numbers, count - 1), maxlen=0)
                return first

    return take


@pytest.fixture(scope="session")
def ipv6_loopback() -> None:
    """For tests of IPv6. Where there is none they fail with one clear word instead of many strange ones."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.fail(
            f"this machine has no ::1 ({error}): sysctl net.ipv6.conf.lo.disable_ipv6=0", pytrace=False
        )


@pytest.fixture(scope="session")
def store_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="hawker-test-"))
    directory.chmod(0o711)  # PostgreSQL's own user walks through when we are root
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(store_directory: Path) -> Iterator[Databases]:
    external = os.environ.get("HAWKER_DATABASE_URL")
    if external:
        databases = Databases(external)
        yield databases
        for name in list(databases.created):
            databases.drop(databases.url_of(name))
        return
    log = store_directory / "postgres.log"
    server = _wait_for(postgres.start(store_directory / "postgres", log, durable=False))
    yield Databases(server.url)
    _wait_for(server.stop())


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """An empty database, one a test module."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> str:
    from server.store import migrate

    upgrade: Callable[[str], Awaitable[None] | None] = migrate.upgrade
    url = databases.create()
    result = upgrade(url)
    if inspect.isawaitable(result):
        _wait_for(_awaited(result))
    return url


async def _awaited(result: Awaitable[None]) -> None:
    await result


@pytest.fixture(scope="module")
def migrated_database_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """A database with the shop's schema, one a test module."""
    url = databases.create(migrated_template)
    yield url
    databases.drop(url)


@pytest.fixture
def fresh_migrated_database_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """A database with the shop's schema, one a test."""
    url = databases.create(migrated_template)
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def valkey_url(store_directory: Path) -> Iterator[str]:
    """One Valkey a test worker; use `redis_url`, which empties it."""
    external = os.environ.get("HAWKER_REDIS_URL")
    if external:
        number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
        yield urlunsplit(urlsplit(external)._replace(path=f"/{number}"))
        return
    log = store_directory / "valkey.log"
    server = _wait_for(valkey.start(store_directory / "valkey", log, durable=False))
    yield server.url
    _wait_for(server.stop())


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """An empty Valkey (functions are flushed, too) for one test."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
        client.function_flush("SYNC")
    return valkey_url
