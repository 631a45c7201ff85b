"""Drops in PostgreSQL, whose clock opens them. Their states follow, under the lock of the stock row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from server.shop.changes import NotPossible
from server.shop.drop import DropEvent, DropState, due, step
from server.shop.ids import canonical
from server.store.database import Database
from server.store.for_sale import SHOWS_OF_V, ForSale, lock_for_sale, lock_stock, set_available, terms_moved
from server.store.pool import Connection, Pool
from server.store.rows import audit, new_id, tell

_ROWS = f"""
SELECT d.id::text, d.variant_id::text, d.state, (extract(epoch FROM d.opens_at) * 1000)::bigint AS opens_ms,
       d.units, d.shop_id::text, v.product_id::text, d.version, d.available_before, s.available,
       (SELECT count(*) FROM waitlist w WHERE w.variant_id = v.id AND w.state = 'waiting')::int AS waiting,
       d.show_id::text, d.over_at IS NOT NULL AS over, d.over_key, s.version AS stock_version,
       {SHOWS_OF_V} AS show_ids,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM drops d JOIN variants v ON v.id = d.variant_id JOIN stock s ON s.variant_id = v.id
"""

_INSERT = """
INSERT INTO drops (id, shop_id, show_id, variant_id, state, units, available_before, opens_at, offer_s,
                   command_key, scheduled_by)
VALUES ($1, $2, $3, $4, 'scheduled', $5, $6, to_timestamp($7 / 1000.0), $8, $9, $10)
"""

_STEP = """
UPDATE drops SET state = $2, version = version + 1, over_key = coalesce($3, over_key),
                 over_at = CASE WHEN $2 = 'cancelled' THEN now() ELSE over_at END
WHERE id = $1
"""

# Drops whose state isn't true any more. The rules are shop.drop's; this only finds them.
_STALE = """
SELECT d.id::text FROM drops d JOIN stock s USING (variant_id)
WHERE d.over_at IS NULL AND (
  (d.state = 'scheduled' AND d.opens_at <= now()) OR (d.state = 'open' AND s.available = 0)
  OR (d.state = 'sold_out' AND s.available > 0
      AND NOT EXISTS (SELECT FROM waitlist w WHERE w.variant_id = d.variant_id AND w.state = 'waiting')))
LIMIT 64
"""


_LINES_MOVED = """
WITH moved AS (
  UPDATE drops d SET waiting_told = n.waiting, version = d.version + 1
  FROM (SELECT d.id, (SELECT count(*) FROM waitlist w
                      WHERE w.variant_id = d.variant_id AND w.state = 'waiting') AS waiting
        FROM drops d WHERE d.over_at IS NULL) n
  WHERE n.id = d.id AND n.waiting <> d.waiting_told RETURNING d.id
), news AS (
  INSERT INTO outbox (kind, payload) SELECT 'drop', jsonb_build_object('drop_id', id) FROM moved
)
SELECT id::text FROM moved
"""


@dataclass(frozen=True, slots=True)
class DropRow:
    """A drop, with its variant's numbers now and the shows not yet ended that sell it."""

    id: str
    variant_id: str
    state: DropState
    opens_ms: int
    units: int
    shop_id: str
    product_id: str
    version: int
    available_before: int
    available: int
    waiting: int
    show_id: str | None
    over: bool
    over_key: str | None
    stock_version: int
    show_ids: tuple[str, ...]
    now_ms: int

    @property
    def state_now(self) -> DropState:
        """What is true now, written down or not."""
        return due(self.state, self.opens_ms, self.now_ms, available=self.available, waiting=self.waiting > 0)


@dataclass(frozen=True, slots=True)
class DropChange:
    """A drop after a command, and by how much its variant's stock was set."""

    drop: DropRow
    delta: int


class DropStore:
    """Raises StoreTrouble, and NotPossible with the code of the refusal."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def schedule(
        self, show_id: str, variant_id: str, *, opens_in_s: int, units: int, offer_s: int, by: str, key: str
    ) -> DropChange:
        """A drop of `units`, in place of one that the variant had. The same `key` schedules once.

        Raises NotPossible `not_in_show`.
        """
        async with self._database.transaction() as connection:
            sale = await lock_for_sale(connection, show_id, variant_id)
            if before := await connection.fetchval("SELECT id FROM drops WHERE command_key = $1", key):
                return DropChange((await _rows(connection, "d.id = $1", before))[0], 0)
            drop_id = await _schedule(connection, sale, show_id, opens_in_s, units, offer_s, by, key)
            delta = await set_available(connection, sale.variant_id, sale.available, units, by)
            detail = {"units": units, "opens_in_s": opens_in_s}
            await audit(connection, sale.shop_id, by, "drop_scheduled", sale.variant_id, detail)
            return DropChange((await _rows(connection, "d.id = $1", drop_id))[0], delta)

    async def cancel(self, show_id: str, drop_id: str, by: str, key: str) -> DropChange:
        """Take back one that has not opened; its variant has what it had before. Repeated, nothing more.

        Raises NotPossible `no_such_drop`, `wrong_state`.
        """
        async with self._database.transaction() as connection:
            drop = await _locked(connection, canonical(drop_id))
            if drop is None or show_id not in (*drop.show_ids, drop.show_id):
                raise NotPossible("no_such_drop", "There is no such drop.")
            if drop.over_key == key:
                return DropChange(drop, 0)
            cancelled = step(drop.state_now, DropEvent.CANCELLED)
            if drop.over or cancelled is None:
                raise NotPossible("wrong_state", "Only a drop that has not opened can be taken back.")
            await _step(connection, drop, cancelled, key)
            wanted = max(0, drop.available - drop.units + drop.available_before)
            delta = await set_available(connection, drop.variant_id, drop.available, wanted, by)
            await audit(connection, drop.shop_id, by, "drop_cancelled", drop.variant_id)
            return DropChange((await _rows(connection, "d.id = $1", drop.id))[0], delta)

    async def advance(self) -> list[DropRow]:
        """Write down what has become true of drops: each step by one process, once."""
        moved: list[DropRow] = []
        for record in await self._database.fetch(_STALE):
            async with self._database.transaction() as connection:
                drop = await _locked(connection, record["id"])
                if drop and not drop.over and drop.state_now is not drop.state:
                    await _step(connection, drop, drop.state_now, None)
                    moved += await _rows(connection, "d.id = $1", drop.id)
        return moved

    async def lines_moved(self) -> list[str]:
        """Drops of whose line the rooms know another number than is so; from now on it counts as told."""
        rows = await self._database.fetch(_LINES_MOVED)
        return [row["id"] for row in rows]

    async def current(self, variant_ids: Collection[str]) -> list[DropRow]:
        """The drops that these variants are in."""
        async with self._database.connection() as connection:
            condition = "d.variant_id = ANY($1::uuid[]) AND d.over_at IS NULL"
            return await _rows(connection, condition, list(variant_ids))

    @asynccontextmanager
    async def telling(self, drop_id: str) -> AsyncIterator[tuple[Connection, DropRow | None]]:
        """A drop that doesn't change while it is told of, so that what is told last is what is so."""
        async with self._database.transaction() as connection:
            await connection.execute("SELECT FROM drops WHERE id = $1 FOR NO KEY UPDATE", drop_id)
            yield connection, next(iter(await _rows(connection, "d.id = $1", drop_id)), None)


async def _schedule(
    connection: Connection,
    sale: ForSale,
    show_id: str,
    opens_in_s: int,
    units: int,
    offer_s: int,
    by: str,
    key: str,
) -> str:
    available_before = sale.available
    for old in await _rows(connection, "d.variant_id = $1 AND d.over_at IS NULL", sale.variant_id):
        if old.state_now is DropState.SCHEDULED:
            await _step(connection, old, DropState.CANCELLED, None)
            available_before = old.available_before
        else:
            await connection.execute("UPDATE drops SET over_at = now() WHERE id = $1", old.id)
    drop_id, opens_ms = new_id(), sale.now_ms + opens_in_s * 1000
    drop = (drop_id, sale.shop_id, show_id, sale.variant_id, units, available_before, opens_ms, offer_s)
    await connection.execute(_INSERT, *drop, key, by)
    await tell(connection, "drop", {"drop_id": drop_id})
    return drop_id


async def _step(connection: Connection, drop: DropRow, state: DropState, key: str | None) -> None:
    await connection.execute(_STEP, drop.id, state, key)
    await terms_moved(connection, drop.variant_id)
    await tell(connection, "drop", {"drop_id": drop.id})


async def _locked(connection: Connection, drop_id: str | None) -> DropRow | None:
    variant = await connection.fetchval("SELECT variant_id FROM drops WHERE id = $1", drop_id)
    if variant is None:
        return None
    await lock_stock(connection, str(variant))
    return (await _rows(connection, "d.id = $1", drop_id))[0]


async def _rows(connection: Connection, condition: str, argument: object) -> list[DropRow]:
    return [_row(record) for record in await connection.fetch(f"{_ROWS} WHERE {condition}", argument)]


def _row(record: asyncpg.Record) -> DropRow:
    fields = dict(record)
    return DropRow(**fields | {"state": DropState(fields["state"]), "show_ids": tuple(fields["show_ids"])})


async def run_out(connection: Connection, drop_id: str) -> None:
    """Somebody waits for what has run out: units that come back are the line's. The stock row is locked."""
    drop = (await _rows(connection, "d.id = $1", drop_id))[0]
    if drop.state_now is DropState.SOLD_OUT is not drop.state:
        await _step(connection, drop, DropState.SOLD_OUT, None)
