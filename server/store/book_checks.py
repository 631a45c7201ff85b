"""What checks of the books found, and when rare jobs last ran."""

from __future__ import annotations

from collections.abc import Sequence
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

    async def claim(self, name: str, every_s: float) -> datetime | None:
        """When the job last ran (1970 for never), and it is the caller's now; None where it is not due."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO job_marks VALUES ($1, 'epoch') ON CONFLICT (name) DO NOTHING", name
            )
            last: datetime | None = await connection.fetchval(
                "WITH due AS (SELECT at FROM job_marks WHERE name = $1"
                "             AND at <= now() - make_interval(secs => $2) FOR UPDATE SKIP LOCKED)"
                " UPDATE job_marks m SET at = now() FROM due WHERE m.name = $1 RETURNING due.at",
                name,
                every_s,
            )
        return last

    async def again(self, name: str, last: datetime) -> None:
        """The run failed: it is due as before."""
        await self._database.execute("UPDATE job_marks SET at = $2 WHERE name = $1", name, last)

    async def note(self, name: str, at: datetime) -> None:
        """The job has got to this time; a mark never goes back."""
        await self._database.execute(
            "INSERT INTO job_marks VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET at = greatest(job_marks.at, excluded.at)",
            name,
            at,
        )

    async def last(self, name: str) -> datetime:
        """When the job was last claimed, or what was noted; 1970 for never."""
        at = await self._database.fetchval("SELECT at FROM job_marks WHERE name = $1", name)
        return at or datetime.fromtimestamp(0, UTC)
