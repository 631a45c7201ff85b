"""Copies the show logs into PostgreSQL. What is said between two runs is what a lost Redis loses."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from overlay.frames import Offset, ShowId
from overlay.log import Entry, ShowLog, Stored
from server.store.database import Database
from server.store.outbox import exclusive
from server.store.pool import Pool

_SHOWS = """
SELECT id::text FROM shows WHERE state = 'live' OR ended_at > now() - interval '1 hour'
   OR (state = 'scheduled' AND starts_at BETWEEN now() - interval '1 day' AND now() + interval '1 day')
"""

_INSERT = """
INSERT INTO show_events (show_id, epoch, n, event, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""


class Archive:
    def __init__(self, pool: Pool, log: ShowLog) -> None:
        self._database, self._log = Database(pool), log

    async def run(self) -> int:
        """How many events were copied."""
        async with exclusive(self._database, "archive") as mine:
            if mine is None:
                return 0
            shows = await self._database.fetch(_SHOWS)
            return sum([await self._copy(ShowId(row["id"])) for row in shows])

    async def _copy(self, show_id: ShowId) -> int:
        head = await self._log.head(show_id)
        if head is None:
            return 0
        kept: int = await self._database.fetchval(
            "SELECT coalesce(max(n), 0) FROM show_events WHERE show_id = $1 AND epoch = $2",
            show_id,
            head.epoch,
        )
        if kept >= head.number:
            return 0
        return await self._keep(show_id, head.epoch, await self._entries(show_id, head, kept))

    async def _entries(self, show_id: ShowId, head: Offset, kept: int) -> tuple[Entry, ...]:
        """What came since; where the log no longer reaches back so far, all that it has."""
        missing = await self._log.tail(show_id, Offset(head.epoch, kept), None)
        if missing is not None:
            return missing
        whole = await self._log.whole(show_id)
        same = isinstance(whole, Stored) and whole.offset.epoch == head.epoch
        return whole.entries if same and isinstance(whole, Stored) else ()

    async def _keep(self, show_id: ShowId, epoch: str, entries: tuple[Entry, ...]) -> int:
        rows = [
            (
                show_id,
                epoch,
                entry.event.n,
                msgspec.to_builtins(entry.event),
                datetime.fromtimestamp(entry.event.at_ms / 1000, UTC),
            )
            for entry in entries
        ]
        async with self._database.connection() as connection:
            await connection.executemany(_INSERT, rows)
        return len(rows)
