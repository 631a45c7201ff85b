"""A box loses its database: wound back to a moment, proven, and selling on. Real PostgreSQL, real WAL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loadtests.commerce.books import read_books
from overlay.log import open_redis
from server.config import Settings
from server.embedded import backup, postgres, recovery
from server.embedded.errors import StartError
from server.shop.ids import UserId
from server.store import migrate
from server.store.ledger import Sealer
from server.store.pool import connect, open_pool
from tests.server.checkout.world import World, build, seed


@asynccontextmanager
async def selling(url: str, redis_url: str, before: World | None = None) -> AsyncIterator[World]:
    """The shop on this database; `before`: the same shop and provider, as another process knew them."""
    async with open_pool(url, max_size=8) as pool, open_redis(redis_url) as redis:
        world = build(pool, redis)
        if before is None:
            await seed(world)
        else:
            world.provider.__dict__.update(before.provider.__dict__)
            world.shop_id, world.show_id, world.product_id = before.shop_id, before.show_id, before.product_id
        charging = asyncio.create_task(world.queue.run())
        yield world
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)


async def _sell(world: World, variant: str, buyers: list[UserId]) -> list[Any]:
    wishes = [world.wish(buyer, (variant, 1)) for buyer in buyers]
    for wish in wishes:
        await world.tap.buy(wish)
    await world.queue.idle()
    sealer = Sealer(world.pool, linger_s=0)
    for _ in range(2):
        await sealer.run()
    return wishes


_ARCHIVED = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver"


async def _archived(url: str) -> None:
    """Until all that was written is in the archive."""
    connection = await connect(url)
    try:
        await connection.execute("SELECT pg_logical_emit_message(true, 'test', 'the last of the segment')")
        segment = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        async with asyncio.timeout(120):
            while await connection.fetchval(_ARCHIVED) < segment:
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_wound_back_to_a_moment_proven_and_selling_on(store_directory: Path, redis_url: str) -> None:
    place = store_directory / "winding"
    place.mkdir(mode=0o711)
    home, archive, log = place / "postgres", place / "backup", place / "postgres.log"
    settings = Settings(data_dir=place, backup_dir=str(archive))
    server = await postgres.start(home, log, durable=False, settings=backup.archiving(archive, home))
    try:
        await migrate.upgrade(server.url)
        async with selling(server.url, redis_url) as world:
            variant = await world.variant(40)
            people = [await world.person() for _ in range(12)]
            await _sell(world, variant, people[:3])
            for _ in range(2):  # the older one is forgotten, with the WAL that it alone needed
                await asyncio.sleep(1)  # copies are named by the second
                taken = await recovery.back_up(settings, server.url, keep=1)
            await _sell(world, variant, people[3:7])
            moment = await world.pool.fetchval("SELECT clock_timestamp()")
            lost = await _sell(world, variant, people[7:])
        await _archived(server.url)
    finally:
        await server.stop()

    assert backup.backups(archive) == [taken]
    restored = await recovery.wind_back(settings, moment)
    assert restored.report.faults == []
    assert restored.report.heads["payments"].number == 2
    assert [path.name.split(".before-")[0] for path in restored.aside] == ["data"]

    server = await postgres.start(home, log, durable=False)
    try:
        await _sell_on(server.url, redis_url, world, variant, lost)  # the provider remembers everything
    finally:
        await server.stop()


async def _sell_on(url: str, redis_url: str, before: World, variant: str, lost: list[Any]) -> None:
    async with open_redis(redis_url) as redis:
        await redis.flushall()
    async with selling(url, redis_url, before) as world:
        assert await world.stock_of(variant) == (33, 0, 7)
        missing = {wish.order_id for wish in lost}
        violations = await read_books(url, provider_audit=world.provider.audit())
        unknown = [v for v in violations if v.kind == "charge_without_order"]
        assert {violation.found for violation in unknown} == missing  # told, not guessed at
        for wish in lost:  # their pages ask again with the order ids they have
            await world.tap.buy(wish)
        await world.queue.idle()
        await _sell(world, variant, [await world.person() for _ in range(2)])
        assert await world.stock_of(variant) == (26, 0, 14)
        assert len(world.provider.intents) == 14  # nobody was charged twice
        assert await read_books(url, provider_audit=world.provider.audit()) == []
        await world.assert_gate_agrees()


async def test_a_moment_that_was_never_archived_changes_nothing(store_directory: Path) -> None:
    place = store_directory / "never"
    place.mkdir(mode=0o711)
    home, archive, log = place / "postgres", place / "backup", place / "postgres.log"
    settings = Settings(data_dir=place, backup_dir=str(archive))
    server = await postgres.start(home, log, durable=False)
    with pytest.raises(StartError) as refused:
        await recovery.back_up(settings, server.url, keep=1)
    assert refused.value.code == "no_archive"
    await server.stop()
    server = await postgres.start(home, log, durable=False, settings=backup.archiving(archive, home))
    await recovery.back_up(settings, server.url, keep=1)
    await _archived(server.url)
    await server.stop()
    with pytest.raises(StartError) as refused:
        await recovery.wind_back(settings, datetime.now(UTC) + timedelta(days=1))
    assert refused.value.code == "restore_failed"
    await (await postgres.start(home, log, durable=False)).stop()


async def test_only_the_embedded_database_is_wound_back_from_here(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, backup_dir=str(tmp_path), database_url="postgresql://db/shop")
    with pytest.raises(StartError) as refused:
        await recovery.wind_back(settings, None)
    assert refused.value.code == "not_embedded"


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://shop:p%40ss@db:5432/shop?x=1", "postgresql://shop@db:5432/shop?x=1", "p@ss"),
        ("postgresql://hawker@/hawker?host=/run", "postgresql://hawker@/hawker?host=/run", None),
    ],
)
def test_a_password_never_shows_in_the_list_of_processes(url: str, shown: str, password: str | None) -> None:
    assert backup.without_password(url) == (shown, {"PGPASSWORD": password} if password else {})


def test_a_time_says_its_zone() -> None:
    assert recovery.moment("2026-11-22T21:15:00+01:00") == datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
    for text in ("yesterday", "2026-11-22T21:15:00"):
        with pytest.raises(StartError) as refused:
            recovery.moment(text)
        assert refused.value.code == "bad_time"


def test_a_copy_is_wound_forward_only(tmp_path: Path) -> None:
    for name in ("20261122T080000Z", "20261122T090000Z", "partial"):
        (tmp_path / "base" / name).mkdir(parents=True)
    nine = datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert backup.chosen(tmp_path, None).at == nine
    assert backup.chosen(tmp_path, nine - timedelta(minutes=1)).at == nine - timedelta(hours=1)
    with pytest.raises(StartError) as refused:
        backup.chosen(tmp_path, nine - timedelta(hours=2))
    assert refused.value.code == "no_backup"
