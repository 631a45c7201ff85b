"""The ledger refuses change, is sealed without a gap under load, and every lie in the books is named."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any

import asyncpg
import pytest

from server.jobs.refunds import Refunds
from server.shop.chain import sealed
from server.store.ledger import LINES, Sealer
from server.store.pool import connect
from server.store.verify import Head, Report, verified, verify

from .world import World

HOUR = "interval '1 hour'"


@pytest.fixture
async def url(migrated_database_url: str) -> str:
    return migrated_database_url


async def _sold(world: World) -> str:
    """Orders of every fate, all of them sealed; the variant."""
    variant = await world.variant(20)
    paid = [world.wish(await world.person(), (variant, 2)) for _ in range(3)]
    for wish in (*paid, world.wish(await world.person("declined"), (variant, 1))):
        await world.tap.buy(wish)
    await world.queue.idle()
    staff = await world.person()
    await world.shopkeeper.refund(paid[0].order_id, 500, "late", staff)
    await world.shopkeeper.refund(paid[1].order_id, 2_490, "broken", staff, restock=True)
    await Refunds(world.refunds, world.refund_book, world.provider).run()
    await _seal(world)
    return variant


async def _seal(world: World, **more: Any) -> int:
    sealer = Sealer(world.pool, linger_s=0, **more)
    return sum([await sealer.run() for _ in range(3)])


async def _as_superuser(url: str, *statements: str) -> None:
    """What nobody but a superuser who means it can do."""
    connection = await connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            done = await connection.execute(statement)
            assert not done.endswith(" 0"), statement
    finally:
        await connection.close()


async def test_what_is_written_stays(world: World) -> None:
    await _sold(world)
    for table in ("stock_movements", "payments", "ledger_blocks"):
        column = {"ledger_blocks": "sealed_at"}.get(table, "at")
        for change in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await world.pool.execute(change)


async def test_true_books_pass_and_every_row_is_sealed(world: World, url: str) -> None:
    await _sold(world)
    report = await verify(url)
    assert report.faults == []
    assert report.unsealed == {"stock_movements": 0, "payments": 0}
    assert report.heads["payments"].number == 1
    assert (
        await world.pool.fetchval("SELECT cardinality(ids) FROM ledger_blocks WHERE ledger = 'payments'") == 5
    )


TAMPERED = {
    "movement": ("UPDATE stock_movements SET held_delta = 1 WHERE kind = 'hold'", "stock_movements"),
    "movement_time": (f"UPDATE stock_movements SET at = at - {HOUR} WHERE kind = 'sell'", "stock_movements"),
    "movement_gone": ("DELETE FROM stock_movements WHERE kind = 'sell'", "stock_movements"),
    "payment": ("UPDATE payments SET amount_minor = 1 WHERE kind = 'charge'", "payments"),
    "payment_gone": ("DELETE FROM payments WHERE kind = 'refund'", "payments"),
    "block": ("UPDATE ledger_blocks SET sha256 = sha256(sha256) WHERE ledger = 'payments'", "ledger_blocks"),
    "block_mark": ("UPDATE ledger_blocks SET marks = substr(marks || marks, 9, length(marks))"
                   " WHERE ledger = 'payments'", "payments"),
    "stock": ("UPDATE stock SET available = available + 1", "stock"),
    "order": ("UPDATE orders SET state = 'cancelled' WHERE state = 'declined'", None),
    "order_state": ("UPDATE orders SET state = 'declined' WHERE state = 'paid'", "orders"),
    "order_refund": ("UPDATE orders SET refunded_minor = 1 WHERE state = 'paid'", "orders"),
    "order_payment": ("UPDATE orders SET payment_intent_ref = 'pi_x' WHERE number IN (SELECT max(number)"
                      " FROM orders WHERE state = 'paid')", "payments"),
    "line": ("UPDATE order_lines SET quantity = 3", "order_lines"),
    "line_price": ("UPDATE order_lines SET unit_price_minor = 1", "orders"),
    "offer": ("INSERT INTO waitlist"
              " (id, shop_id, variant_id, quantity, state, offer_id, offered, offer_ends_at)"
              " SELECT gen_random_uuid(), shop_id, v.id, 1, 'offered', gen_random_uuid(), 1, now()"
              " FROM variants v JOIN products p ON p.id = v.product_id", "waitlist"),
    "auction": ("INSERT INTO auctions (id, shop_id, show_id, variant_id, state, start_minor, increment_minor,"
                " duration_ms, extension_ms, max_extension_ms, latency_window_ms, misbid_ms, alias_key,"
                " price_minor, next_minor)"
                " SELECT gen_random_uuid(), s.shop_id, s.id, v.id, 'open', 1, 1, 1, 0,"
                " 0, 0, 0, '', 1, 1 FROM variants v, shows s", "auctions"),
    "refund": ("UPDATE refunds SET amount_minor = amount_minor - 1", "refunds"),
    "attempt": ("UPDATE payment_attempts SET state = 'declined' WHERE state = 'paid'", "payment_attempts"),
}  # fmt: skip


async def test_the_row_that_was_tampered_with_is_named(world: World, url: str) -> None:
    """By a superuser, a kind of lie after another. `None`: a lie that changes no unit and no money."""
    await _sold(world)
    connection = await connect(url)
    await connection.execute("SET session_replication_role = replica")
    for kind, (statement, table) in TAMPERED.items():
        transaction = connection.transaction()
        await transaction.start()
        assert not (await connection.execute(statement)).endswith(" 0"), kind
        faults = (await verified(connection, {})).faults
        await transaction.rollback()
        assert [fault.table for fault in faults[:1]] == ([table] if table else []), kind
        assert all(fault.id and fault.expected != fault.found for fault in faults), kind
    assert (await verified_now(connection)).passed
    await connection.close()


async def verified_now(connection: Any) -> Report:
    async with connection.transaction():
        return await verified(connection, {})


async def test_the_first_row_of_many_is_named(world: World, url: str) -> None:
    await _sold(world)
    ids = [row[0] for row in await world.pool.fetch("SELECT id FROM stock_movements ORDER BY id")]
    await _as_superuser(url, f"UPDATE stock_movements SET at = at - {HOUR} WHERE id >= {ids[4]}")
    assert (await _first(url)).startswith(f"stock_movements {ids[4]}: expected the row as it was sealed")


CHANGED = {
    "bigint": "{0} + 1000000",
    "integer": "{0} + 1",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "{0} - interval '1 us'",
    "bytea": "sha256({0})",
    "character": "E'E\\nR'",
    "ARRAY": "array_cat({0}, {0})",
}
OTHERWISE = {  # where a type's change would not be taken
    "kind": "CASE {0} WHEN 'sell' THEN 'release' WHEN 'refund' THEN 'refund_returned' ELSE 'sell' END",
    "payment_intent_ref": "'pi_other'",
    "refund_ref": "'re_other'",
    "ids": "'{{}}', marks = ''",
    "marks": "overlay({0} PLACING '\\x00' FROM 1)",
    "ledger": None,
    "sealed_at": None,  # says when, and proves nothing
}


@pytest.mark.parametrize("table", ["stock_movements", "payments", "ledger_blocks"])
async def test_no_column_of_the_ledger_can_be_changed_unseen(world: World, url: str, table: str) -> None:
    """One row in the middle of many, sealed in several blocks; each of its columns in turn."""
    await _sold(world)
    connection = await connect(url)
    await connection.execute("SET session_replication_role = replica; TRUNCATE ledger_blocks")
    await _seal(world, block_rows=2)
    types = await connection.fetch(_COLUMNS, table)
    assert len(types) >= 8
    for column, kind in types:
        change = OTHERWISE.get(column, CHANGED.get(kind))
        if change is None:
            continue
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(_UNBOUND)
        row = await connection.fetchval(_CHANGE[table].format(column, change.format(column)))
        faults = (await verified(connection, {})).faults
        await transaction.rollback()
        assert faults, column
        assert faults[0].id == str(row) or table == "ledger_blocks", (column, str(faults[0]))
        assert faults[0].table in (table, "stock_movements"), (column, str(faults[0]))
    assert (await verified_now(connection)).passed
    await connection.close()


_UNBOUND = """
ALTER TABLE stock_movements ALTER id SET GENERATED BY DEFAULT;
ALTER TABLE payments ALTER id SET GENERATED BY DEFAULT;
"""
_COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position
"""
_CHANGE = {
    "stock_movements": "UPDATE stock_movements s SET {0} = {1} FROM (SELECT id AS was"
    " FROM stock_movements ORDER BY id OFFSET 4 LIMIT 1) m WHERE s.id = m.was RETURNING m.was",
    "payments": "UPDATE payments p SET {0} = {1} FROM (SELECT id AS was FROM payments WHERE kind = 'refund'"
    " ORDER BY id LIMIT 1) m WHERE p.id = m.was RETURNING m.was",
    "ledger_blocks": "UPDATE ledger_blocks SET {0} = {1} WHERE ledger = 'stock_movements' AND number = 2"
    " RETURNING number",
}


async def test_a_row_slipped_in_under_the_seal_is_named(world: World, url: str) -> None:
    variant = await _sold(world)
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()  # takes an id and ends without its row
        await transaction.start()
        gap = await _movement(connection, variant)
        await transaction.rollback()
        await _movement(connection, variant)
        await _seal(world)
        await connection.execute(
            "INSERT INTO stock_movements (id, variant_id, kind, available_delta, held_delta, sold_delta)"
            " OVERRIDING SYSTEM VALUE VALUES ($1, $2, 'set', 0, 0, 0)",
            gap,
            variant,
        )
    assert (await _first(url)).startswith(f"stock_movements {gap}: expected no row")


async def _first(url: str) -> str:
    return str((await verify(url)).faults[0])


async def _movement(connection: Any, variant: str) -> int:
    row_id: int = await connection.fetchval(
        "INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta)"
        " VALUES ($1, 'set', 0, 0, 0) RETURNING id",
        variant,
    )
    return row_id


async def test_a_row_still_being_written_is_waited_for(world: World, url: str) -> None:
    """An id below others that are committed: sealed neither without it nor before it is there."""
    variant = await world.variant(0)
    sealer = Sealer(world.pool, linger_s=0, block_rows=2)
    async with world.pool.acquire() as slow, world.pool.acquire() as fast:
        writing = slow.transaction()
        await writing.start()
        late = await _movement(slow, variant)
        later = [await _movement(fast, variant) for _ in range(3)]
        assert sum([await sealer.run() for _ in range(4)]) <= 1  # the variant's own first movement
        await writing.commit()
    for _ in range(3):
        await sealer.run()
    rows = await world.pool.fetch("SELECT ids FROM ledger_blocks WHERE ledger = 'stock_movements' ORDER BY 1")
    assert [n for row in rows for n in row["ids"]][-4:] == [late, *later]
    assert (await verify(url)).passed


async def test_no_row_is_skipped_under_load(world: World, url: str) -> None:
    variants = [await world.variant(0) for _ in range(3)]
    dice, done = random.Random(4), asyncio.Event()

    async def write(variant: str) -> None:
        async with world.pool.acquire() as connection:
            for _ in range(60):
                transaction = connection.transaction()
                await transaction.start()
                for _ in range(dice.randrange(1, 4)):
                    await _movement(connection, variant)
                    await asyncio.sleep(dice.choice((0, 0, 0.002)))
                await (transaction.rollback() if dice.random() < 0.3 else transaction.commit())

    async def seal(sealer: Sealer) -> None:
        while not done.is_set():
            await sealer.run()

    sealing = [asyncio.create_task(seal(Sealer(world.pool, linger_s=0, block_rows=7))) for _ in range(2)]
    await asyncio.gather(*(write(variant) for variant in variants * 2))
    done.set()
    await asyncio.gather(*sealing)
    await _seal(world)
    report = await verify(url)
    assert report.faults == []
    assert report.unsealed["stock_movements"] == 0


async def test_a_quiet_ledger_waits_for_company(world: World, url: str) -> None:
    await world.variant(1)
    sealer = Sealer(world.pool, linger_s=60)
    assert [await sealer.run() for _ in range(3)] == [0, 0, 0]
    assert (await verify(url)).unsealed["stock_movements"] == 1


async def test_a_chain_rewritten_whole_is_seen_by_whoever_noted_its_head(world: World, url: str) -> None:
    await _sold(world)
    head = (await verify(url)).heads["payments"]
    await _as_superuser(url, "UPDATE payments SET at = at - interval '1 hour' WHERE kind = 'refund'")
    await _rewrite(world, url)
    assert (await verify(url)).passed
    report: Report = await verify(url, {"payments": [head]})
    assert str(report.faults[0]).startswith("ledger_blocks payments:1: expected the head noted before")
    assert not (await verify(url, {"payments": [Head(9, head.sha256)]})).passed


async def _rewrite(world: World, url: str) -> None:
    """Compute a block anew, as whoever owns the database could."""
    previous = await world.pool.fetchval("SELECT previous FROM ledger_blocks WHERE ledger = 'payments'")
    rows = await world.pool.fetch(f"SELECT {LINES['payments']} FROM payments ORDER BY id")
    block = sealed(1, previous, [row[0] for row in rows])
    await _as_superuser(
        url,
        f"UPDATE ledger_blocks SET sha256 = '\\x{block.sha256.hex()}', marks = '\\x{block.marks.hex()}'"
        " WHERE ledger = 'payments'",
    )


async def test_forgetting_a_person_breaks_no_chain(world: World, url: str) -> None:
    await _sold(world)
    await world.pool.execute("DELETE FROM users")
    await world.pool.execute("UPDATE orders SET address = '{}'")
    assert (await verify(url)).passed


async def _command(url: str, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "verify", *words),
        env={**os.environ, "HAWKER_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_says_what_fails_and_ends_with_one(world: World, url: str) -> None:
    await _sold(world)
    code, out, _ = await _command(url, "--json")
    told = json.loads(out)
    assert (code, told["passed"], told["faults"], len(told["heads"])) == (0, True, [], 2)
    code, out, err = await _command(url, "--head", f"payments:{told['heads']['payments']}")
    assert (code, "FAILS" in out, "The books are right" in err) == (0, False, True)
    code, out, _ = await _command(url, "--head", f"payments:1:{'0' * 64}")
    assert (code, out.startswith("FAILS  ledger_blocks payments:1: expected the head noted")) == (1, True)
    assert "[bad_head]" in (await _command(url, "--head", "payments:x"))[2]
    await world.pool.execute("UPDATE stock SET sold = sold + 1")
    code, out, err = await _command(url)
    assert (code, out.startswith("FAILS  stock "), "WRONG" in err) == (1, True, True)


async def test_the_proof_raises_no_alarm_while_the_shop_sells(world: World, url: str) -> None:
    variant, done = await world.variant(30), asyncio.Event()
    people = [await world.person(("paid", "paid", "declined", "action")[n % 4]) for n in range(24)]
    sealer, refunds = (
        Sealer(world.pool, linger_s=0, block_rows=5),
        Refunds(world.refunds, world.refund_book, world.provider),
    )
    faults: list[object] = []

    async def prove() -> None:
        while not done.is_set():
            await sealer.run()
            faults.extend((await verify(url)).faults)

    async def buy(person: Any) -> None:
        wish = world.wish(person, (variant, 1))
        await world.charged(wish)
        if await world.state(wish.order_id) == "paid":
            await world.shopkeeper.refund(wish.order_id, 1_490, "late", person, restock=True)
            await refunds.run()

    proving = asyncio.create_task(prove())
    await asyncio.gather(*map(buy, people))
    done.set()
    await proving
    assert faults == []
    assert await world.stock_of(variant) == (24, 6, 0)
