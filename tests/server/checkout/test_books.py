"""The independent reader sees each lie in the books, and none where there is none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.commerce.books import Told, read_books
from server.jobs.refunds import Refunds

from .world import World


@pytest.fixture
async def sold(world: World) -> tuple[World, str, str]:
    """One paid order of two units, and a declined one: the world, the paid order, the variant."""
    variant = await world.variant(5, limit=3)
    paid = world.wish(await world.person(), (variant, 2))
    for wish in (paid, world.wish(await world.person("declined"), (variant, 1))):
        await world.tap.buy(wish)
    await world.queue.idle()
    return world, paid.order_id, variant


async def _kinds(world: World, url: str, told: list[Told] | None = None) -> set[str]:
    found = await read_books(url, provider_audit=world.provider.audit(), told=told or ())
    return {violation.kind for violation in found}


async def test_true_books_have_no_violation(sold: tuple[World, str, str], migrated_database_url: str) -> None:
    world, order, _ = sold
    assert await _kinds(world, migrated_database_url, [Told(order, True)]) == set()
    await world.shopkeeper.refund(order, 700, "late", str(await world.person()))
    assert await _kinds(world, migrated_database_url) == {"stuck"}
    await Refunds(world.refunds, world.refund_book, world.provider).run()
    assert await _kinds(world, migrated_database_url) == set()


@pytest.mark.parametrize(
    ("lie", "kinds"),
    [
        ("UPDATE stock SET available = available + 1", {"stock_broken"}),
        ("UPDATE orders SET state = 'cancelled' WHERE state = 'paid'", {"charge_without_order"}),
        ("UPDATE orders SET state = 'paid' WHERE state = 'declined'", {"paid_without_charge"}),
        ("UPDATE order_lines SET unit_price_minor = 1", {"wrong_amount"}),
        ("UPDATE order_lines SET quantity = 9", {"oversell", "buyer_limit", "order_stock"}),
        ("UPDATE orders SET refunded_minor = 5 WHERE state = 'paid'", {"refund_mismatch", "buyer_charges"}),
        ("UPDATE orders SET state = 'charging' WHERE state = 'declined'", {"stuck"}),
    ],
)
async def test_a_lie_in_the_database_is_seen(
    sold: tuple[World, str, str], migrated_database_url: str, lie: str, kinds: set[str]
) -> None:
    world, _, _ = sold
    await world.pool.execute(lie)
    assert kinds <= await _kinds(world, migrated_database_url)


async def test_what_the_provider_has_too_much_is_seen(
    sold: tuple[World, str, str], migrated_database_url: str
) -> None:
    world, order, _ = sold
    for intent in list(world.provider.intents.values()):
        if intent.order_id == order:
            double = type(intent)(
                "pi_double", order, intent.amount, "paid", intent.customer, {"order": order}
            )
            world.provider.intents["pi_double"] = double
            intent.refunded = intent.amount + 1
    assert {"over_refund", "refund_mismatch"} <= await _kinds(world, migrated_database_url)
    for intent in world.provider.intents.values():
        intent.refunded = 0
    assert {"double_charge", "buyer_charges"} <= await _kinds(world, migrated_database_url)


async def test_what_buyers_were_told_is_held_against_the_orders(
    sold: tuple[World, str, str], migrated_database_url: str
) -> None:
    world, order, _ = sold
    absent = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert await _kinds(world, migrated_database_url, [Told(absent, True)]) == {"lost_order"}
    assert await _kinds(world, migrated_database_url, [Told(order, False)]) == {"phantom_order"}


async def test_the_command_lists_them_as_json(
    sold: tuple[World, str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    world, order, _ = sold
    taps = tmp_path / "taps.jsonl"
    taps.write_text(json.dumps({"order_id": order, "accepted": True}) + "\n")
    command = [
        sys.executable,
        "-m",
        "loadtests.commerce.books",
        "--database-url",
        migrated_database_url,
        "--json",
    ]
    clean = await asyncio.to_thread(
        subprocess.run, [*command, "--taps", str(taps)], capture_output=True, timeout=300, check=False
    )
    assert (clean.returncode, json.loads(clean.stdout)["violations"]) == (0, 0)
    await world.pool.execute("UPDATE stock SET sold = sold + 1")
    wrong = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=300, check=False)
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["kinds"] == {"stock_broken": 2}
