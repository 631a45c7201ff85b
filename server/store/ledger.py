"""Sealing the ledger: stock movements and payments are linked into chains of hashes, behind those who write.

Writers pay nothing: a row is sealed some seconds after it was committed, by one process at a time. Ids are
given out before a commit, so a row may appear below one that is there already. Therefore rows are sealed only
up to a horizon: the sequence's last value L is read, then who has the ledger open for writing. A row with an
id up to L that is not visible yet belongs to one of those; once they have all ended, every row up to L is
there for good, and an id without a row never gets one. New writers take ids above L, and nobody waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.shop.chain import Block, beginning, id_of, sealed
from server.store.database import Database
from server.store.outbox import exclusive
from server.store.pool import Connection, Pool

BLOCK_ROWS = 1_024
LINGER_S = 5.0  # fewer rows than a block wait so long for company

# A row as one line of text, all of it. Never change what is in here: old rows were sealed with it.
_AT = "(extract(epoch FROM at) * 1000000)::bigint"
LINES = {
    "stock_movements": "concat_ws('|', id, variant_id, kind, available_delta, held_delta, sold_delta,"
    f" coalesce(order_id::text, '-'), coalesce(actor_id::text, '-'), {_AT})",
    "payments": "concat_ws('|', id, order_id, kind, payment_intent_ref, coalesce(refund_ref, '-'),"
    f" amount_minor, currency, {_AT})",
}

_HEAD = "SELECT number, last_id, sha256 FROM ledger_blocks WHERE ledger = $1 ORDER BY number DESC LIMIT 1"

# The sequence first: who is not in the ledger when it is read takes a higher id.
_LAST_ID = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0)"

_WRITERS = """
SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
WHERE locktype = 'relation' AND relation = $1::text::regclass AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND mode NOT IN ('AccessShareLock', 'RowShareLock')
"""

_OLDEST_S = "SELECT coalesce(extract(epoch FROM now() - at), 0)::float8 FROM {ledger} WHERE id = $1"

_SEAL = """
INSERT INTO ledger_blocks (ledger, number, last_id, ids, marks, previous, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


@dataclass(slots=True)
class _Horizon:
    """Up to which id all rows are there, and the bound that becomes it when its writers have ended."""

    reached: int = 0
    next: int = 0
    writers: frozenset[str] | None = None


@dataclass(slots=True)
class Sealer:
    """Run it often, in any number of processes. At most `most_rows` of a ledger a run."""

    pool: Pool
    block_rows: int = BLOCK_ROWS
    linger_s: float = LINGER_S
    most_rows: int = 16 * BLOCK_ROWS
    _horizons: dict[str, _Horizon] = field(default_factory=dict)

    async def run(self) -> int:
        """How many rows were sealed."""
        async with exclusive(Database(self.pool), "seal") as connection:
            if connection is None:
                return 0
            return sum([await self._seal(connection, ledger) for ledger in LINES])

    async def _seal(self, connection: Connection, ledger: str) -> int:
        horizon = await self._advanced(connection, ledger)
        head = await connection.fetchrow(_HEAD, ledger)
        number, last_id, previous = head or (0, 0, beginning(ledger))
        lines = await self._lines(connection, ledger, last_id, horizon.reached)
        done = 0
        while done < len(lines):
            some = lines[done : done + self.block_rows]
            if len(some) < self.block_rows and not await self._due(connection, ledger, some[0]):
                break
            block = sealed(number + 1, previous, some)
            await connection.execute(_SEAL, ledger, *_row(block))
            number, previous, done = block.number, block.sha256, done + len(some)
        return done

    async def _advanced(self, connection: Connection, ledger: str) -> _Horizon:
        horizon = self._horizons.setdefault(ledger, _Horizon())
        if horizon.writers is None:
            horizon.next = await connection.fetchval(_LAST_ID, ledger)
            horizon.writers = frozenset(await connection.fetchval(_WRITERS, ledger))
        elif horizon.writers:
            horizon.writers &= frozenset(await connection.fetchval(_WRITERS, ledger))
        if not horizon.writers:
            horizon.reached, horizon.writers = horizon.next, None
        return horizon

    async def _lines(self, connection: Connection, ledger: str, after: int, until: int) -> list[str]:
        if until <= after:
            return []
        rows = await connection.fetch(
            f"SELECT {LINES[ledger]} FROM {ledger} WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3",
            after,
            until,
            self.most_rows,
        )
        return [row[0] for row in rows]

    async def _due(self, connection: Connection, ledger: str, line: str) -> bool:
        oldest_s: float = await connection.fetchval(_OLDEST_S.format(ledger=ledger), id_of(line))
        return oldest_s >= self.linger_s


def _row(block: Block) -> tuple[object, ...]:
    return (block.number, block.ids[-1], list(block.ids), block.marks, block.previous, block.sha256)
