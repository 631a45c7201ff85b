"""Money back through the real client, against the simulator: given once, taken over, owed, whoever acts."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.commerce.books import read_books
from server.checkout.refunds import seen
from server.shop.changes import NotPossible
from server.store.verify import verify

from .paying import SECRET, Paying

REFUNDS = ["/v1/refunds"]
TOTAL = 1_490


async def bought(paying: Paying, card: str = "pm_card_visa") -> Any:
    variant = await paying.world.variant(1)
    wish = paying.world.wish(await paying.person(card), (variant, 1))
    await paying.checkout.tap.buy(wish)
    await paying.checkout.queue.idle()
    assert await paying.world.state(wish.order_id) == "paid"
    return wish


async def asked(paying: Paying, wish: Any, amount: int, *, restock: bool = False) -> None:
    await paying.checkout.shopkeeper.refund(wish.order_id, amount, "late", wish.user_id, restock=restock)


async def given(paying: Paying) -> list[tuple[int, str]]:
    """All refunds that the provider has."""
    return [(r["amount"], r["status"]) for intent in await paying.audit() for r in intent["refunds"]]


async def standing(paying: Paying) -> tuple[str, int, int]:
    row = await paying.world.pool.fetchrow("SELECT state, refunded_minor, owed_minor FROM orders")
    assert row is not None
    return tuple(row)


async def intent_of(paying: Paying) -> str:
    (intent,) = await paying.audit()
    return str(intent["id"])


async def kinds(paying: Paying) -> list[str]:
    rows = await paying.world.pool.fetch("SELECT kind FROM order_events ORDER BY id")
    return [row["kind"] for row in rows]


async def assert_books_right(paying: Paying, url: str, *, at_rest: bool = True) -> None:
    report = await verify(url)
    assert report.passed, report.faults
    audit = {"payment_intents": await paying.audit()}
    assert await read_books(url, provider_audit=audit, at_rest=at_rest) == []


@pytest.fixture
def url(migrated_database_url: str) -> str:
    return migrated_database_url


async def test_a_part_refund_that_the_list_does_not_show_is_not_paid_again(
    paying: Paying, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wish = await bought(paying)
    await paying.faults(once={"server_error_after": 1}, only=REFUNDS, list_lag_s=3_600)
    await asked(paying, wish, 600)
    await paying.refunds_due(6)
    assert await given(paying) == [(600, "succeeded")]  # a stored 500, and a list that doesn't have it
    assert await standing(paying) == ("paid", 0, 0)
    assert "refund_unsure" not in await kinds(paying)
    await paying.world.pool.execute("UPDATE refunds SET doubted_since = now() - interval '2 h'")
    await paying.refunds_due(2)
    assert (await kinds(paying)).count("refund_unsure") == 1
    assert [r.levelname for r in caplog.records if r.message == "refund_unsure"] == ["CRITICAL"]
    await paying.faults()
    await paying.refunds_due()
    assert await given(paying) == [(600, "succeeded")]
    assert await standing(paying) == ("paid", 600, 0)
    await assert_books_right(paying, url)


async def test_a_forgotten_key_is_not_used_while_the_list_is_behind(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await paying.faults(once={"reply_lost": 1}, only=REFUNDS, list_lag_s=200_000)
    await asked(paying, wish, 600)
    await paying.refunds_due()
    headers = {"Authorization": f"Bearer {SECRET}"}
    await paying.http.post("/_clock", json={"advance_s": 100_000}, headers=headers)
    await paying.world.pool.execute("UPDATE refunds SET created_at = now() - interval '28 h'")
    await paying.refunds_due(3)
    assert await given(paying) == [(600, "succeeded")]
    await paying.faults()
    await paying.refunds_due()
    assert (await given(paying), await standing(paying)) == ([(600, "succeeded")], ("paid", 600, 0))
    await assert_books_right(paying, url)


async def test_that_nothing_was_done_is_looked_at_twice(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await paying.faults(once={"server_error": 1}, only=REFUNDS)
    await asked(paying, wish, 600)
    await paying.refunds_due(4, proof_s=3_600)
    assert (await given(paying), "refund_repeated" in await kinds(paying)) == ([], False)
    tries = await paying.world.pool.fetchval("SELECT max(tries) FROM refunds")
    assert tries == 1, "the 500: to wait for a proof is not to fail, and must not make the next try later"
    await paying.world.pool.execute("UPDATE refunds SET unseen_since = now() - interval '2 h'")
    await paying.refunds_due(2, proof_s=3_600)
    assert (await given(paying), await standing(paying)) == ([(600, "succeeded")], ("paid", 600, 0))
    assert (await kinds(paying)).count("refund_repeated") == 1
    await assert_books_right(paying, url)


async def test_what_is_given_back_in_the_dashboard_is_taken_over(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await paying.dashboard_refund(await intent_of(paying), 500)
    await paying.news()
    await paying.news()
    assert await standing(paying) == ("paid", 500, 0)
    assert (await kinds(paying)).count("refunded_in_part") == 1
    detail = await paying.world.pool.fetchval(
        "SELECT detail FROM order_events WHERE kind = 'refunded_in_part'"
    )
    assert detail == {"amount_minor": 500, "reason": "refunded at Stripe"}
    await assert_books_right(paying, url)
    with pytest.raises(NotPossible, match="At most 990"):
        await asked(paying, wish, 991)
    await asked(paying, wish, 490)
    await paying.refunds_due()
    await paying.dashboard_refund(await intent_of(paying), 500)
    await paying.news()
    assert await standing(paying) == ("refunded", TOTAL, 0)
    await assert_books_right(paying, url)


async def test_a_dashboard_refund_before_its_payment_is_known(paying: Paying, url: str) -> None:
    variant = await paying.world.variant(1)
    wish = paying.world.wish(await paying.person("pm_card_authenticationRequired"), (variant, 1))
    await paying.checkout.tap.buy(wish)
    await paying.checkout.queue.idle()
    await paying.bank_says("approve", await paying.checkout.tap.buy(wish))
    intent = await intent_of(paying)
    await paying.dashboard_refund(intent, TOTAL)
    assert await paying.checkout.refund_book.look(intent) == 1
    assert await paying.checkout.refund_book.look(intent) == 0
    assert await standing(paying) == ("refunded", TOTAL, 0)
    await assert_books_right(paying, url)


async def test_two_refunds_at_once_from_both_sides(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await asked(paying, wish, 1_000)
    await paying.dashboard_refund(await intent_of(paying), 700)
    await paying.checkout.refund_book.look(await intent_of(paying))
    await assert_books_right(paying, url, at_rest=False)
    await paying.refunds_due()
    assert await standing(paying) == ("paid", 700, 0)
    assert "refund_failed" in await kinds(paying)
    assert await given(paying) == [(700, "succeeded")]
    await assert_books_right(paying, url)


async def test_our_own_refund_may_be_told_by_a_webhook_first(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await paying.faults(once={"reply_lost": 1}, only=REFUNDS)
    await asked(paying, wish, 600)
    await paying.refunds_due()
    assert await standing(paying) == ("paid", 0, 0)
    await paying.checkout.refund_book.look(await intent_of(paying))
    assert await standing(paying) == ("paid", 600, 0)
    await paying.refunds_due()
    assert await standing(paying) == ("paid", 600, 0)
    await assert_books_right(paying, url)


async def test_what_a_bank_returns_is_owed_and_can_be_given_back_again(
    paying: Paying, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wish = await bought(paying)
    await asked(paying, wish, TOTAL, restock=True)
    await paying.refunds_due()
    (variant,) = {line.variant_id for line in wish.lines}
    assert await paying.world.stock_of(variant) == (1, 0, 0)
    refund = await paying.world.pool.fetchval("SELECT refund_ref FROM refunds")
    await paying.bank_returns(refund)
    await paying.news()
    await paying.news()
    assert await standing(paying) == ("refunded", 0, TOTAL)
    assert (await kinds(paying)).count("refund_came_back") == 1
    assert [r.levelname for r in caplog.records if r.message == "refund_came_back"] == ["CRITICAL"]
    rows = await paying.world.pool.fetch("SELECT kind, amount_minor FROM payments ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("charge", TOTAL),
        ("refund", TOTAL),
        ("refund_returned", TOTAL),
    ]
    await assert_books_right(paying, url)
    await asked(paying, wish, 1_000)
    assert await standing(paying) == ("refunded", 0, 490)
    await paying.refunds_due()
    assert await standing(paying) == ("refunded", 1_000, 490)
    await paying.checkout.shopkeeper.owed_paid(wish.order_id, "by transfer", wish.user_id)
    assert await standing(paying) == ("refunded", 1_000, 0)
    with pytest.raises(NotPossible, match="Nothing is owed"):
        await paying.checkout.shopkeeper.owed_paid(wish.order_id, "again", wish.user_id)
    with pytest.raises(NotPossible, match="Only a paid order"):  # it is not paid back twice
        await asked(paying, wish, 490)
    assert await paying.world.stock_of(variant) == (1, 0, 0)
    await assert_books_right(paying, url)


async def test_a_refund_that_the_bank_refuses_is_owed(paying: Paying, url: str) -> None:
    wish = await bought(paying, "pm_card_refundFail")
    await asked(paying, wish, 600)
    await paying.refunds_due()
    await paying.news()
    assert await standing(paying) == ("paid", 0, 600)
    assert await given(paying) == [(600, "failed")]
    await asked(paying, wish, TOTAL)
    assert await standing(paying) == ("paid", 0, 0)
    await paying.refunds_due()
    await paying.news()
    assert await standing(paying) == ("refunded", 0, TOTAL)
    await assert_books_right(paying, url)


async def test_a_late_word_of_a_refund_that_has_failed_changes_nothing(paying: Paying, url: str) -> None:
    wish = await bought(paying)
    await paying.faults(once={"reply_lost": 1}, only=REFUNDS)
    await asked(paying, wish, 600)
    await paying.refunds_due()
    intent = await intent_of(paying)
    (view,) = await paying.checkout.gateway.list_refunds(intent)
    await paying.bank_returns(view.id)
    await paying.checkout.refund_book.look(intent)
    assert await standing(paying) == ("paid", 0, 600)
    assert not await paying.checkout.refund_book.enter(wish.order_id, intent, seen(view))  # as it was before
    await paying.checkout.refund_book.look(intent)
    assert await standing(paying) == ("paid", 0, 600)
    await assert_books_right(paying, url)
