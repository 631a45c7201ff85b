"""Every payment against the provider's own list, both ways, through the real client."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.jobs.books import DAY_S, VerifyBooks
from server.jobs.provider_audit import ProviderAudit
from server.shop.chain import Fault
from server.store.book_checks import BookChecks, Check, JobMarks
from server.store.payment_comparison import ComparisonStore
from server.store.verify import Report, verify

from .paying import Paying
from .world import World


def _audit(paying: Paying) -> ProviderAudit:
    pool = paying.world.pool
    return ProviderAudit(
        ComparisonStore(pool),
        BookChecks(pool),
        JobMarks(pool),
        paying.gateway,
        paying.checkout.settler.payment,
        paying.checkout.refund_book.look,
        time.time,
        every_s=0,
        under_way_s=-60,
    )


async def _bought(paying: Paying, card: str = "pm_card_visa") -> Any:
    variant = await paying.world.variant(5)
    wish = paying.world.wish(await paying.person(card), (variant, 1))
    await paying.checkout.tap.buy(wish)
    await paying.checkout.queue.idle()
    return wish


async def _checked(paying: Paying) -> Check:
    await _audit(paying).run()
    return (await BookChecks(paying.world.pool).newest())[0]


async def test_what_agrees_passes_and_what_is_late_is_mended(paying: Paying) -> None:
    world = paying.world
    paid = await _bought(paying)
    await paying.checkout.shopkeeper.refund(paid.order_id, 490, "shipping", paid.user_id)
    await paying.worker.once()
    confirmed = await _bought(paying, "pm_card_authenticationRequired")
    declined = await _bought(paying, "pm_card_chargeCustomerFail")
    await paying.bank_says("approve", await paying.checkout.tap.buy(confirmed))  # its news never came
    check = await _checked(paying)
    assert (check.kind, check.passed, check.rows, check.findings) == ("provider", True, 3, [])
    assert await world.state(confirmed.order_id) == "paid"
    statuses = {i["metadata"]["order"]: i["status"] for i in await paying.audit()}
    assert statuses[declined.order_id] == "canceled"  # nobody can pay it any more


async def test_money_for_an_order_that_ended_goes_back(paying: Paying) -> None:
    wish = await _bought(paying, "pm_card_authenticationRequired")
    view = await paying.checkout.tap.buy(wish)
    await paying.world.pool.execute("UPDATE orders SET state = 'cancelled'")
    await paying.bank_says("approve", view)
    assert (await _checked(paying)).passed
    await paying.worker.once()
    (intent,) = await paying.audit()
    assert sum(refund["amount"] for refund in intent["refunds"]) == intent["amount_received"]


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_authenticationRequired"])
async def test_payments_of_another_shop_in_the_same_account_are_left_alone(paying: Paying, card: str) -> None:
    query = (
        "SELECT c.customer_ref, k.payment_method_ref FROM payment_customers c JOIN cards k USING (user_id)"
    )
    await paying.person(card)
    row = await paying.world.pool.fetchrow(query)
    assert row is not None
    theirs = {"order_id": "A-17", "amount_minor": 500, "currency": "EUR", "idempotency_key": "theirs"}
    await paying.gateway.charge(**theirs, customer=row[0], payment_method=row[1])
    before = await paying.audit()
    assert (await _checked(paying)).passed
    assert await paying.audit() == before


LIES = {
    "no such order": "SET session_replication_role = replica; DELETE FROM orders",
    "1490 eur": "SET session_replication_role = replica; UPDATE payments SET amount_minor = 1",
    "0 given back": "INSERT INTO refunds (id, order_id, payment_intent_ref, amount_minor, reason,"
    " idempotency_key, state)"
    " SELECT gen_random_uuid(), id, payment_intent_ref, 5, '', 'k', 'done' FROM orders",
    "no such payment": "SET session_replication_role = replica;"
    " UPDATE payments SET payment_intent_ref = 'pi_nowhere'",
}


@pytest.mark.parametrize("found", LIES)
async def test_what_cannot_be_explained_is_named(
    paying: Paying, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _bought(paying)
    async with paying.world.pool.acquire() as connection:
        await connection.execute(LIES[found])
        await connection.execute("SET session_replication_role = origin")
    check = await _checked(paying)
    assert not check.passed
    assert any(found in finding for finding in check.findings), check.findings
    assert any(record.levelname == "CRITICAL" for record in caplog.records)
    action = await paying.world.pool.fetchval("SELECT action FROM audit ORDER BY id DESC LIMIT 1")
    assert action == "provider_check_failed"


async def test_a_comparison_without_an_answer_comes_again(paying: Paying) -> None:
    await _bought(paying)
    marks = JobMarks(paying.world.pool)
    await paying.faults(seed=1, server_error=1.0)
    with pytest.raises(Exception, match="provider"):
        await _audit(paying).run()
    assert (await marks.last("provider_audit")).year == 1970
    await paying.faults(seed=1)
    assert (await _checked(paying)).passed


async def test_the_proof_runs_once_a_day_and_is_told(
    world: World, migrated_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def proof() -> Report:
        return await verify(migrated_database_url)

    async def broken() -> Report:
        return Report([Fault("stock", "7", "3", "4")], rows=9)

    checks, marks = BookChecks(world.pool), JobMarks(world.pool)
    await world.variant(3)
    assert await VerifyBooks(checks, marks, proof).run() > 0
    assert await VerifyBooks(checks, marks, proof).run() == 0
    await VerifyBooks(checks, marks, broken, every_s=0).run()
    (newest,) = await checks.newest()
    assert (newest.passed, newest.findings) == (False, ["stock 7: expected 3; is 4"])
    assert "books_broken" in caplog.text


async def test_a_proof_that_fails_to_run_is_due_as_before(world: World) -> None:
    async def down() -> Report:
        raise OSError("no database")

    marks = JobMarks(world.pool)
    with pytest.raises(OSError, match="no database"):
        await VerifyBooks(BookChecks(world.pool), marks, down).run()
    assert (await marks.last("verify")).year == 1970
    await VerifyBooks(BookChecks(world.pool), marks, _proof).run()
    assert (await marks.last("verify")).year > 1970


async def test_a_proof_whose_worker_died_is_another_ones_on_the_same_day(world: World) -> None:
    checks, marks = BookChecks(world.pool), JobMarks(world.pool)
    async with marks.due("verify", DAY_S) as last:
        assert last is not None
        assert await VerifyBooks(checks, marks, _proof).run() == 0  # somebody is at it
        await world.pool.execute("UPDATE job_marks SET at = now() - interval '4 h'")  # and was killed
        assert await VerifyBooks(checks, marks, _proof).run() == 9
    assert await VerifyBooks(checks, marks, _proof).run() == 0


async def _proof() -> Report:
    return Report(rows=9)
