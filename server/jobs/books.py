"""The daily proof of the books: `hawker verify`, run by whichever worker comes first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from server.store.book_checks import BookChecks, JobMarks
from server.store.verify import Report

_LOG = logging.getLogger("hawker.jobs.books")
DAY_S = 24 * 3600.0


class VerifyBooks:
    """`verify` is store.verify.verify on a connection of its own: it may take minutes."""

    def __init__(
        self,
        checks: BookChecks,
        marks: JobMarks,
        verify: Callable[[], Awaitable[Report]],
        *,
        every_s: float = DAY_S,
    ) -> None:
        self._checks, self._marks, self._verify, self._every_s = checks, marks, verify, every_s

    async def run(self) -> int:
        """How many rows were looked at; 0 where it is not due. A failed run comes again."""
        async with self._marks.due("verify", self._every_s) as last:
            return await self._proven() if last is not None else 0

    async def _proven(self) -> int:
        report = await self._verify()
        heads = {ledger: msgspec.to_builtins(head) for ledger, head in report.heads.items()}
        await self._checks.keep("books", report.faults, report.rows, report.seconds, heads)
        for fault in report.faults:
            _LOG.critical("books_broken", extra={"row": f"{fault.table} {fault.id}", "fault": str(fault)})
        _LOG.info("books_checked", extra={"rows": report.rows, "passed": report.passed, "heads": heads})
        return report.rows
