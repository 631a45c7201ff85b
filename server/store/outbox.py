"""News, written with what it tells of and told after the commit: at least once, in order of writing."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from server.shop.patience import again_after_s
from server.store.database import Database
from server.store.pool import Connection, Pool

GIVE_UP_TRIES = 40
_LONGEST_DELAY_S = 3_600.0


@dataclass(frozen=True, slots=True)
class OutboxRow:
    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int


_DUE = """
SELECT id, kind, payload, attempts FROM outbox
WHERE done_at IS NULL AND due_at <= now() AND kind = ANY($1::text[]) ORDER BY id LIMIT $2
"""

_DONE = """
UPDATE outbox SET done_at = now(), error = NULL, payload = '{}'::jsonb WHERE id = ANY($1::bigint[])
"""

_FAILED = """
UPDATE outbox SET attempts = attempts + 1, error = $2, due_at = now() + make_interval(secs => $3),
                  done_at = CASE WHEN attempts + 1 >= $4 THEN now() END,
                  payload = CASE WHEN attempts + 1 >= $4 THEN '{}'::jsonb ELSE payload END
WHERE id = $1
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Due rows, in the hands of this process alone until the block ends."""

    rows: tuple[OutboxRow, ...]
    connection: Connection

    async def finish(self, failures: Mapping[int, str | None]) -> None:
        """Rows without a failure are done. The others come again, later and later, then are given up.

        A failure that is None: not tried yet, due as before. A row that is done or given up keeps nothing of
        what it told: mail carries addresses and the tokens of links.
        """
        done = [row.id for row in self.rows if row.id not in failures]
        await self.connection.execute(_DONE, done)
        for row in self.rows:
            error = failures.get(row.id)
            if error is not None:
                delay_s = again_after_s(row.attempts, _LONGEST_DELAY_S)
                await self.connection.execute(_FAILED, row.id, error, delay_s, GIVE_UP_TRIES)


class OutboxStore:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    @asynccontextmanager
    async def due(self, name: str, kinds: Collection[str], limit: int) -> AsyncIterator[Batch | None]:
        """Due rows of these kinds; None while another process tells news by this `name`: one at a time, so
        that newer news never overtakes older."""
        async with exclusive(self._database, f"outbox:{name}") as connection:
            if connection is None:
                yield None
                return
            rows = await connection.fetch(_DUE, list(kinds), limit)
            yield Batch(tuple(OutboxRow(*row.values()) for row in rows), connection)

    async def prune(self, kept_s: float) -> int:
        """Delete what was told long ago."""
        gone: Sequence[Any] = await self._database.fetch(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
            " WHERE done_at < now() - make_interval(secs => $1) LIMIT 1000) RETURNING id",
            kept_s,
        )
        return len(gone)


@asynccontextmanager
async def exclusive(database: Database, name: str) -> AsyncIterator[Connection | None]:
    """A transaction that only one process at a time has by this name; None where another has it.

    The advisory lock is the transaction's: a process that dies gives it back.
    """
    async with database.transaction() as connection:
        key = zlib.crc32(f"hawker:{name}".encode())
        mine = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", key)
        yield connection if mine else None
