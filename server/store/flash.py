"""Flash prices in PostgreSQL, whose clock decides. They begin and end under the lock of the variant's stock
row as orders are written, so no order is at a price that was over before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from server.shop.changes import NotPossible
from server.shop.flash import Flash, Over, ended, problem
from server.shop.ids import canonical
from server.store.database import Database
from server.store.for_sale import SHOWS_OF_V, lock_for_sale, lock_stock, terms_moved
from server.store.pool import Connection, Pool
from server.store.rows import audit, new_id, tell

_ROWS = f"""
SELECT f.id::text, f.variant_id::text, f.price_minor, f.buyer_limit,
       (extract(epoch FROM f.starts_at) * 1000)::bigint AS starts_ms,
       (extract(epoch FROM f.ends_at) * 1000)::bigint AS ends_ms, f.over_because,
       (extract(epoch FROM f.over_at) * 1000)::bigint AS over_ms, f.shop_id::text, f.over_key,
       v.price_minor AS base_minor, v.compare_at_minor, {SHOWS_OF_V} AS selling_in,
       ARRAY(SELECT w.id::text FROM shows w WHERE w.id = f.show_id AND w.state <> 'ended') AS begun_in,
       f.show_id::text
FROM flash_prices f JOIN variants v ON v.id = f.variant_id
"""

_INSERT = """
INSERT INTO flash_prices (id, shop_id, show_id, variant_id, price_minor, was_minor, buyer_limit, starts_at,
                          ends_at, command_key, started_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8 / 1000.0), to_timestamp($9 / 1000.0), $10, $11)
"""

_END = """
UPDATE flash_prices SET over_at = to_timestamp($2 / 1000.0), over_because = $3, over_key = $4
WHERE id = $1 AND over_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class FlashRow:
    """A flash price, the variant's usual price now, and the shows not yet ended that sell it or in which it
    was begun. `show_id`: where it was begun, and can be ended when that show has ended, too."""

    flash: Flash
    shop_id: str
    base_minor: int
    show_ids: tuple[str, ...]
    show_id: str | None
    over_key: str | None


class FlashStore:
    """Raises StoreTrouble, and NotPossible with the code of the refusal."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def start(
        self,
        show_id: str,
        variant_id: str,
        *,
        price_minor: int,
        duration_s: int,
        buyer_limit: int,
        by: str,
        key: str,
    ) -> list[FlashRow]:
        """Begin one; the ids that changed: it, and one whose place it took. The same `key` begins once.

        Raises NotPossible `not_in_show`, `bad_command`.
        """
        async with self._database.transaction() as connection:
            sale = await lock_for_sale(connection, show_id, variant_id)
            if before := await connection.fetchval("SELECT id FROM flash_prices WHERE command_key = $1", key):
                return await _rows(connection, "f.id = $1", before)
            if wrong := problem(price_minor, sale.price_minor):
                raise NotPossible("bad_command", wrong)
            running = await _rows(connection, "f.variant_id = $1 AND f.over_at IS NULL", sale.variant_id)
            for row in running:
                await _end(connection, row.flash, Over.REPLACED, sale.now_ms, None)
            flash_id, ends_ms = new_id(), sale.now_ms + duration_s * 1000
            await connection.execute(
                _INSERT,
                flash_id,
                sale.shop_id,
                show_id,
                sale.variant_id,
                price_minor,
                sale.price_minor,
                buyer_limit,
                sale.now_ms,
                ends_ms,
                key,
                by,
            )
            await _began(connection, sale.shop_id, flash_id, sale.variant_id, by, price_minor, duration_s)
            changed = [*(row.flash.id for row in running), flash_id]
            return await _rows(connection, "f.id = ANY($1::uuid[])", changed)

    async def end(self, show_id: str, flash_id: str, by: str, key: str) -> list[FlashRow]:
        """End one before its time; nothing where this command has done so before.

        Raises NotPossible `no_such_flash`.
        """
        async with self._database.transaction() as connection:
            found = await _locked(connection, canonical(flash_id))
            if found is None or show_id not in (*found.show_ids, found.show_id):
                raise NotPossible("no_such_flash", "There is no such flash price.")
            if found.over_key == key:
                return [found]
            if not await _end(connection, found.flash, Over.EARLY, await _now_ms(connection), key):
                raise NotPossible("no_such_flash", "This flash price is over already.")
            await audit(connection, found.shop_id, by, "flash_ended", found.flash.variant_id)
            return await _rows(connection, "f.id = $1", found.flash.id)

    async def end_due(self) -> list[FlashRow]:
        """Write down those whose time has run out: each by one process, once."""
        due = await self._database.fetch(
            "SELECT id::text FROM flash_prices WHERE over_at IS NULL AND ends_at <= now() LIMIT 64"
        )
        over: list[FlashRow] = []
        for record in due:
            async with self._database.transaction() as connection:
                found = await _locked(connection, record["id"])
                if found and await _end(connection, found.flash, Over.TIME, await _now_ms(connection), None):
                    over += await _rows(connection, "f.id = $1", found.flash.id)
        return over

    async def running(self, variant_ids: Collection[str]) -> list[FlashRow]:
        """Those that run now, of these variants."""
        async with self._database.connection() as connection:
            condition = "f.variant_id = ANY($1::uuid[]) AND f.over_at IS NULL AND f.ends_at > now()"
            return await _rows(connection, condition, list(variant_ids))

    @asynccontextmanager
    async def telling(self, flash_id: str) -> AsyncIterator[FlashRow | None]:
        """A flash price that doesn't change while it is told of, so that what is told last is what is so."""
        async with self._database.transaction() as connection:
            await connection.execute("SELECT FROM flash_prices WHERE id = $1 FOR NO KEY UPDATE", flash_id)
            yield next(iter(await _rows(connection, "f.id = $1", flash_id)), None)


async def repriced(connection: Connection, variant_id: str) -> None:
    """The usual price has changed, under the lock of the stock row: a flash price that is no less any more is
    over; of one that is, the rooms are told what it is instead of."""
    for row in await _rows(connection, "f.variant_id = $1 AND f.over_at IS NULL", variant_id):
        if problem(row.flash.price_minor, row.base_minor):
            await _end(connection, row.flash, Over.EARLY, await _now_ms(connection), None)
        else:
            await tell(connection, "flash", {"flash_id": row.flash.id, "again": new_id()})


async def _rows(connection: Connection, condition: str, argument: object) -> list[FlashRow]:
    return [_row(record) for record in await connection.fetch(f"{_ROWS} WHERE {condition}", argument)]


def _row(record: asyncpg.Record) -> FlashRow:
    flash = Flash(
        id=record["id"],
        variant_id=record["variant_id"],
        price_minor=record["price_minor"],
        buyer_limit=record["buyer_limit"],
        starts_ms=record["starts_ms"],
        ends_ms=record["ends_ms"],
        over=Over(record["over_because"]) if record["over_because"] else None,
        over_ms=record["over_ms"],
    )
    shows = tuple(sorted({*record["selling_in"], *record["begun_in"]}))
    return FlashRow(
        flash, record["shop_id"], record["base_minor"], shows, record["show_id"], record["over_key"]
    )


async def _locked(connection: Connection, flash_id: str | None) -> FlashRow | None:
    """A flash price, read under the lock of its variant's stock row."""
    variant = await connection.fetchval("SELECT variant_id FROM flash_prices WHERE id = $1", flash_id)
    if variant is None:
        return None
    await lock_stock(connection, str(variant))
    return (await _rows(connection, "f.id = $1", flash_id))[0]


async def _end(connection: Connection, flash: Flash, why: Over, now_ms: int, key: str | None) -> bool:
    over = ended(flash, why, now_ms)
    if over is None:
        return False
    await connection.execute(_END, flash.id, over.over_ms, over.over, key if over.over is why else None)
    await terms_moved(connection, flash.variant_id)
    await tell(connection, "flash", {"flash_id": flash.id})
    await tell(connection, "price", {"variant_id": flash.variant_id})  # its own compare-at price is back
    return over.over is why or why is Over.REPLACED


async def _began(
    connection: Connection, shop_id: str, flash_id: str, variant_id: str, by: str, price: int, duration_s: int
) -> None:
    await terms_moved(connection, variant_id)
    await tell(connection, "flash", {"flash_id": flash_id})
    detail = {"price_minor": price, "duration_s": duration_s}
    await audit(connection, shop_id, by, "flash_started", variant_id, detail)


async def _now_ms(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"))
