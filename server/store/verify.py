"""The proof of the books: the chains hold, the stock adds up, orders and payments bear each other out.

Everything is read in one snapshot, so it may run while the shop sells. Rows stream through block by block,
sums are PostgreSQL's own: memory stays flat. The chains come first: what they prove untouched, the sums are
then held against.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.shop.chain import Block, Fault, beginning, fault
from server.store.ledger import LINES
from server.store.pool import Connection, connect
from server.store.sql import statement

STATEMENT_TIMEOUT_S = 3_600.0

_SUMS = tuple(
    statement(f"verify_{name}")
    for name in (
        "movements",
        "order_stock",
        "order_lines",
        "payment_order",
        "order_payment",
        "refunds",
        "attempts",
        "offers",
        "auctions",
        "stock",
    )
)

_BLOCKS = """
SELECT number, last_id, ids, marks, previous, sha256 FROM ledger_blocks WHERE ledger = $1 ORDER BY number
"""

_ROWS = """
SELECT coalesce(array_agg(line ORDER BY id), '{{}}') FROM (
  SELECT id, {line} AS line FROM {ledger} WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) r
"""

# Whole tables are joined: a loop over one for each row of another, a plan for old statistics, has no end.
_PLANS = "SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '32MB', true)"

_COUNT = """
SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_lines) + (SELECT count(*) FROM stock)
     + (SELECT count(*) FROM payment_attempts) + (SELECT count(*) FROM refunds)
"""

_TAIL = "SELECT count(*) FROM {ledger} WHERE id > $1"


class Head(msgspec.Struct, frozen=True):
    """The last block of a chain: whoever noted it can prove later that nothing before it was rewritten."""

    number: int
    sha256: str


@dataclass(slots=True)
class Report:
    """`faults`: the first row that fails, a check; none where the books are right. `unsealed`: rows a ledger
    that only the sums vouch for as yet."""

    faults: list[Fault] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    unsealed: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.faults

    @property
    def rows_per_s(self) -> int:
        return round(self.rows / self.seconds) if self.seconds else 0


async def verify(database_url: str, noted: Mapping[str, Sequence[Head]] | None = None) -> Report:
    """Check everything once. `noted`: heads seen before, a ledger; they must still be in the chain.

    Raises StoreError `database_down`, asyncpg.PostgresError.
    """
    connection = await connect(database_url, command_timeout_s=STATEMENT_TIMEOUT_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await verified(connection, noted or {})
    finally:
        await connection.close(timeout=5)


async def verified(connection: Connection, noted: Mapping[str, Sequence[Head]]) -> Report:
    """The same, in the caller's snapshot."""
    report, began = Report(), time.monotonic()
    await connection.execute(_PLANS)
    known = await _heads_seen(connection)
    for ledger in LINES:
        wanted = [*noted.get(ledger, ()), *known.get(ledger, ())]
        found = await _chain(connection, ledger, report, {head.number: head.sha256 for head in wanted})
        if found:
            report.faults.append(found)
    for check in _SUMS:
        row = await connection.fetchrow(check)
        if row:
            report.faults.append(Fault(*row.values()))
    report.rows += await connection.fetchval(_COUNT)
    report.seconds = time.monotonic() - began
    return report


async def _heads_seen(connection: Connection) -> dict[str, list[Head]]:
    """Where the chains ended when they were last found whole."""
    row: Any = await connection.fetchval(
        "SELECT heads FROM book_checks WHERE kind = 'books' AND passed ORDER BY id DESC LIMIT 1"
    )
    return {ledger: [msgspec.convert(head, Head)] for ledger, head in (row or {}).items()}


async def _chain(connection: Connection, ledger: str, report: Report, wanted: dict[int, str]) -> Fault | None:
    number, last_id, previous = 0, 0, beginning(ledger)
    async for row in connection.cursor(_BLOCKS, ledger, prefetch=16):
        block = Block(row["number"], row["ids"], row["marks"], row["previous"], row["sha256"])
        number += 1
        lines = await _lines(connection, ledger, last_id, row["last_id"], len(block.ids) + 1)
        found = _misshapen(ledger, block, row["last_id"]) or fault(ledger, block, number, previous, lines)
        found = found or _head_fault(ledger, block, wanted)
        if found:
            return found
        last_id, previous = row["last_id"], block.sha256
        report.rows += len(lines)
    if wanted and max(wanted) > number:
        return Fault("ledger_blocks", f"{ledger}:{max(wanted)}", "the head noted before", "missing")
    report.heads[ledger] = Head(number, previous.hex())
    tail: int = await connection.fetchval(_TAIL.format(ledger=ledger), last_id)
    report.unsealed[ledger] = tail
    report.rows += tail
    return None


def _misshapen(ledger: str, block: Block, last_id: int) -> Fault | None:
    if block.ids and all(block.ids) and block.ids[-1] == last_id:
        return None
    expected, found = "rows, the last of them last_id", f"{list(block.ids[-3:])}, last_id {last_id}"
    return Fault("ledger_blocks", f"{ledger}:{block.number}", expected, found)


def _head_fault(ledger: str, block: Block, wanted: Mapping[int, str]) -> Fault | None:
    expected = wanted.get(block.number)
    if expected is None or expected == block.sha256.hex():
        return None
    return Fault(
        "ledger_blocks", f"{ledger}:{block.number}", f"the head noted before, {expected}", block.sha256.hex()
    )


async def _lines(connection: Connection, ledger: str, after: int, until: int, most: int) -> list[str]:
    query = _ROWS.format(line=LINES[ledger], ledger=ledger)
    found: list[str] = await connection.fetchval(query, after, until, most)
    return found
