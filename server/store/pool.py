"""Connections to PostgreSQL: a pool in which every wait has an end, and typed JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = Any

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
ACQUIRE_TIMEOUT_S = 5.0
STARTING_TIMEOUT_S = 15.0  # a server that recovers from a crash says "not yet"

_SETTINGS = {
    "application_name": "hawker",
    "timezone": "UTC",
    "lock_timeout": "8s",
    "idle_in_transaction_session_timeout": "30s",
}


class StoreError(Exception):
    """A store can't be used as it is. `code` is stable, `remedy` says what to do."""

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.code, self.problem, self.remedy = code, problem, remedy


def _database_down(error: BaseException) -> StoreError:
    return StoreError(
        "database_down",
        f"PostgreSQL can't be reached ({type(error).__name__}: {error}).",
        "See that it runs and that HAWKER_DATABASE_URL names it.",
    )


def _decode_json(text: str) -> Any:
    return msgspec.json.decode(text)


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _prepare(connection: Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_encode_json, decoder=_decode_json, format="text"
        )


async def connect(
    database_url: str, *, command_timeout_s: float = COMMAND_TIMEOUT_S
) -> asyncpg.Connection[asyncpg.Record]:
    """One connection of its own. Waits, bounded, for a server that is just starting.

    Raises StoreError `database_down`.
    """
    deadline = asyncio.get_running_loop().time() + STARTING_TIMEOUT_S
    while True:
        try:
            connection = await asyncpg.connect(
                database_url,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=command_timeout_s,
                server_settings=_SETTINGS,
            )
            await _prepare(connection)
            return connection
        except asyncpg.CannotConnectNowError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise _database_down(error) from error
            await asyncio.sleep(0.1)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise _database_down(error) from error


@asynccontextmanager
async def open_pool(database_url: str, *, min_size: int = 1, max_size: int = 8) -> AsyncIterator[Pool]:
    """A pool for the time of the `async with`. Raises StoreError `database_down` at entry.

    JSON columns are Python values. Commands end after COMMAND_TIMEOUT_S, waiting for a lock before that.
    """
    first = await connect(database_url)
    await first.close(timeout=CONNECT_TIMEOUT_S)
    pool = await asyncpg.create_pool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        init=_prepare,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings=_SETTINGS,
    )
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction (read committed) that ends with the block."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection, connection.transaction():
        yield connection
