"""The checkout's view of a pool: every failure of PostgreSQL is one error, every wait has an end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from server.checkout.ports import StoreTrouble
from server.store.pool import ACQUIRE_TIMEOUT_S

if TYPE_CHECKING:
    from server.store.pool import Connection, Pool

# InternalClientError: what asyncpg says of a connection that its server died under.
TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Database:
    """Single statements and transactions. Everything raises StoreTrouble where PostgreSQL fails."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection
        except TROUBLE as error:
            raise StoreTrouble(f"{type(error).__name__}: {error}") from error

    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[Connection]:
        """Commits when the block ends well. StoreTrouble at its end: it may have committed."""
        async with self.connection() as connection, connection.transaction(**options):
            yield connection

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> None:
        async with self.connection() as connection:
            await connection.execute(query, *args)
