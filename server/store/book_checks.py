"""What checks of the books found, and when rare jobs last ran."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from msgspec import Struct

from server.shop.chain import Fault
from server.store.database import Database
from server.store.pool import Pool

_NEWEST = """
SELECT DISTINCT ON (kind) kind, passed, rows, findings, seconds, at FROM book_checks ORDER BY kind, id DESC
"""

# The shop's own people read it in the back office.
_AUDIT = """
INSERT INTO audit (shop_id, action, subject, detail) SELECT id, $1, $2, $3 FROM shops
"""

LONGEST_RUN_S = 3 * 3600.0

# Whoever writes when a run began has it, while it is due and nobody else's. $1 that mark, $2 the job, $3 how
# often it runs, $4 how long a run may take.
_CLAIM = """
INSERT INTO job_marks AS b (name, at)
SELECT $1, now() WHERE NOT EXISTS (
  SELECT FROM job_marks WHERE name = $2 AND at > now() - make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET at = now() WHERE b.at <= now() - make_interval(secs => least($3, $4))
RETURNING true
"""

_RUN_WHOLE = """
INSERT INTO job_marks SELECT $1, at FROM job_marks WHERE name = $2
ON CONFLICT (name) DO UPDATE SET at = excluded.at
"""


class Check(Struct, frozen=True):
    """One run. `kind`: `books` (hawker verify) or `provider` (against the payment provider's list)."""

    kind: str
    passed: bool
    rows: int
    findings: list[str]
    seconds: float
    at: datetime


class BookChecks:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def keep(
        self, kind: str, faults: Sequence[Fault], rows: int, seconds: float, heads: object = None
    ) -> None:
        """Write a run down, and into the audit of every shop."""
        findings = [str(fault) for fault in faults]
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO book_checks (kind, passed, rows, findings, heads, seconds)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                kind,
                not faults,
                rows,
                findings,
                heads or {},
                seconds,
            )
            action = f"{kind}_checked" if not faults else f"{kind}_check_failed"
            subject = findings[0] if findings else f"{rows} rows"
            await connection.execute(_AUDIT, action, subject[:500], {"rows": rows, "findings": findings[:20]})

    async def newest(self) -> list[Check]:
        """The newest run of each kind."""
        return [Check(*row.values()) for row in await self._database.fetch(_NEWEST)]


class JobMarks:
    """Runs that are due rarely, whichever process comes first."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    @asynccontextmanager
    async def due(self, name: str, every_s: float) -> AsyncIterator[datetime | None]:
        """When the last whole run began (1970 for none), if the next is due: the caller's, then. Else None.

        A run counts once its block has ended well. One that fails is due again at once, one whose process
        dies after LONGEST_RUN_S.
        """
        began = f"{name}:began"
        last = await self._claimed(name, began, every_s)
        try:
            yield last
        except BaseException:
            if last is not None:
                await self._database.execute("DELETE FROM job_marks WHERE name = $1", began)
            raise
        if last is not None:
            await self._database.execute(_RUN_WHOLE, name, began)

    async def _claimed(self, name: str, began: str, every_s: float) -> datetime | None:
        last = await self.last(name)
        claimed = await self._database.fetchval(_CLAIM, began, name, every_s, LONGEST_RUN_S)
        return last if claimed else None

    async def note(self, name: str, at: datetime) -> None:
        """The job has got to this time; a mark never goes back."""
        await self._database.execute(
            "INSERT INTO job_marks VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET at = greatest(job_marks.at, excluded.at)",
            name,
            at,
        )

    async def last(self, name: str) -> datetime:
        """When the job's last whole run began, or what was noted; 1970 for never."""
        at = await self._database.fetchval("SELECT at FROM job_marks WHERE name = $1", name)
        return at or datetime.fromtimestamp(0, UTC)
