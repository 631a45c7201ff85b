"""The worker's jobs on real stores: each finds its work once, and what fails comes again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from overlay.log import ShowLog
from overlay.messages import Commented, OrderView
from server.checkout.room_news import LogNews
from server.jobs.archive import Archive
from server.jobs.charges import WebhookInbox
from server.jobs.checkout import checkout_jobs
from server.jobs.news import OrderMail, Publisher, RoomTeller, each
from server.jobs.refunds import Refunds
from server.jobs.runner import Job, Runner
from server.jobs.sweep import EventSweep
from server.payments.outcomes import RefundRefused
from server.payments.webhooks import Event
from server.shop.changes import NotPossible
from server.store.book_checks import JobMarks
from server.store.outbox import OutboxStore

from .world import World


@dataclass
class Heard:
    """A room that remembers; `deaf` calls fail first."""

    stock: list[tuple[str, int]] = field(default_factory=list)
    prices: list[tuple[str, int]] = field(default_factory=list)
    purchases: list[tuple[str, int, str | None]] = field(default_factory=list)
    orders: list[OrderView] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    deaf: int = 0

    def _hear(self, event_id: str = "") -> None:
        if self.deaf:
            self.deaf -= 1
            raise OSError("no answer")
        self.ids[event_id] += 1

    async def stock_changed(self, show_id: str, event_id: str, variant_id: str, available: int) -> None:
        self._hear(event_id)
        self.stock.append((variant_id, available))

    async def price_changed(
        self, show_id: str, event_id: str, variant_id: str, price_minor: int, compare_at_minor: int | None
    ) -> None:
        self._hear(event_id)
        self.prices.append((variant_id, price_minor))

    async def purchased(
        self, show_id: str, event_id: str, product_title: str, quantity: int, first_name: str | None
    ) -> None:
        self._hear(event_id)
        self.purchases.append((product_title, quantity, first_name))

    async def personal(self, user_id: str, order: OrderView) -> None:
        self._hear()
        self.orders.append(order)


def publisher(world: World, heard: Any, **more: Any) -> Publisher:
    handlers = RoomTeller(world.orders, world.stock, heard).handlers()
    return Publisher(OutboxStore(world.pool), "news", handlers, **more)


async def all_due(world: World) -> None:
    await world.pool.execute("UPDATE outbox SET due_at = now() - interval '1 s' WHERE done_at IS NULL")


async def test_many_sales_of_a_variant_are_one_piece_of_news(world: World) -> None:
    variant = await world.variant(50)
    await world.pool.execute("UPDATE outbox SET due_at = now() + interval '1 hour' WHERE due_at > now()")
    for _ in range(12):
        wish = world.wish(await world.person(), (variant, 1), show_first_name=True)
        await world.tap.buy(wish)
    await world.queue.idle()
    heard = Heard()
    await publisher(world, heard).run()
    assert heard.stock == [(variant, 38)]
    assert heard.purchases == [("Cup", 1, "Ada")] * 12
    assert {order.state for order in heard.orders} == {"paid"}
    assert await publisher(world, heard).run() == 0


async def test_a_room_hears_of_a_variant_ten_times_a_second(world: World) -> None:
    variant, heard, now = await world.variant(9), Heard(), 0.0
    handlers = RoomTeller(world.orders, world.stock, heard, clock=lambda: now).handlers()
    telling = Publisher(OutboxStore(world.pool), "news", handlers)
    for moment in (0.0, 0.03, 0.06, 0.09, 0.12):
        now = moment
        await world.shopkeeper.set_stock(world.shop_id, variant, int(100 * moment), None)
        await telling.run()
    assert heard.stock == [(variant, 0), (variant, 12)]


async def test_a_room_that_does_not_answer_is_told_again(world: World) -> None:
    variant = await world.variant(5)
    await world.shopkeeper.set_price(world.shop_id, variant, 1_500, None)
    heard = Heard(deaf=2)
    await publisher(world, heard).run()
    errors = await world.pool.fetch("SELECT error FROM outbox WHERE error IS NOT NULL")
    assert {row["error"] for row in errors} == {"OSError: no answer"}
    await all_due(world)
    await publisher(world, heard).run()
    assert (heard.stock, heard.prices) == ([(variant, 5)], [(variant, 1_500)])


async def test_two_publishers_never_tell_the_same(world: World) -> None:
    variant = await world.variant(60)
    for _ in range(20):
        await world.tap.buy(world.wish(await world.person(), (variant, 1)))
    await world.queue.idle()
    heard = Heard()
    one, two = publisher(world, heard, limit=7), publisher(world, heard, limit=7)
    for _ in range(30):
        await asyncio.gather(one.run(), two.run())
    assert len(heard.orders) == len(heard.purchases) == 20
    del heard.ids[""]
    assert set(heard.ids.values()) == {1}


async def test_news_that_nobody_takes_is_given_up_and_said(world: World) -> None:
    async def fail(_: Any) -> None:
        raise KeyError("letter")

    await add_letter(world, attempts=39)
    await Publisher(OutboxStore(world.pool), "mail", {"mail": each(fail)}).run()
    row = await world.pool.fetchrow(
        "SELECT attempts, error, done_at, payload FROM outbox WHERE kind = 'mail'"
    )
    assert row is not None
    assert (row["attempts"], row["error"]) == (40, "KeyError: 'letter'")
    assert row["done_at"] is not None
    assert row["payload"] == {}


async def test_a_letter_that_was_sent_leaves_no_link_behind(world: World) -> None:
    sent: list[Any] = []

    async def deliver(row: Any) -> None:
        sent.append(row.payload)
        if len(sent) == 1:
            raise OSError("no answer")

    await add_letter(world)
    kept = "SELECT payload FROM outbox WHERE kind = 'mail'"
    mail = Publisher(OutboxStore(world.pool), "mail", {"mail": each(deliver)})
    await mail.run()
    assert await world.pool.fetchval(kept) == LETTER
    await all_due(world)
    await mail.run()
    assert sent == [LETTER, LETTER]
    assert await world.pool.fetchval(kept) == {}


LETTER = {"letter": "reset", "values": {"link": "https://shop.example/account/reset#token=t"}}


async def add_letter(world: World, attempts: int = 0) -> None:
    await world.pool.execute(
        "INSERT INTO outbox (kind, payload, attempts) VALUES ('mail', $1, $2)", LETTER, attempts
    )


async def test_old_news_is_swept_out(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO outbox (kind, payload, done_at) VALUES ('x', '{}'::jsonb, now() - interval '2 days')"
    )
    store = OutboxStore(world.pool)
    assert await store.prune(86_400) == 1
    assert await store.prune(86_400) == 0


async def test_order_mail_is_written_from_the_order(world: World) -> None:
    variant = await world.variant(5)
    wish = world.wish(await world.person(), (variant, 2))
    await world.charged(wish)
    sent: list[Any] = []

    async def deliver(payload: Any) -> None:
        sent.append(payload)

    mail = OrderMail(world.pool, deliver, "https://shop.example/")
    await Publisher(OutboxStore(world.pool), "mail", mail.handlers()).run()
    assert [(m["letter"], m["to"]) for m in sent] == [("receipt", f"{wish.user_id}@example.org")]
    values = sent[0]["values"]
    assert values["link"] == f"https://shop.example/orders/{wish.order_id}"
    assert (values["total_minor"], values["lines"][0]["quantity"]) == (2_490, 2)


async def test_letters_can_be_written_with_what_the_order_tells(world: World) -> None:
    from server.letters import letter

    variant = await world.variant(5)
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)
    await world.shopkeeper.fulfil(wish.order_id, wish.user_id)
    await world.shopkeeper.refund(wish.order_id, 500, "scratched", wish.user_id)
    await Refunds(world.refunds, world.refund_book, world.provider).run()
    written: dict[str, Any] = {}

    async def deliver(payload: Any) -> None:
        written[payload["letter"]] = letter(payload["letter"], payload["values"])

    mail = OrderMail(world.pool, deliver, "https://shop.example")
    await Publisher(OutboxStore(world.pool), "mail", mail.handlers()).run()
    assert set(written) == {"receipt", "shipped", "refund"}


async def webhook(world: World, event_id: str, kind: str, intent: str) -> bool:
    payload = {
        "id": event_id,
        "object": "event",
        "type": kind,
        "created": 0,
        "livemode": False,
        "data": {"object": {"object": "payment_intent", "id": intent, "status": "succeeded", "forged": True}},
    }
    return bool(await world.payments.receive_webhook(event_id, kind, payload))


async def test_a_webhook_sent_twice_settles_once_and_is_never_believed(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person("action"), (variant, 1))
    await world.charged(wish)
    inbox = WebhookInbox(world.payments, world.provider, world.settler, world.refund_book)
    assert await webhook(world, "evt_lie", "payment_intent.succeeded", "pi_0")
    assert await inbox.run() == 1
    assert await world.state(wish.order_id) == "action_needed"  # it says succeeded, the provider says not yet

    world.provider.intents["pi_0"].status = "paid"
    assert await webhook(world, "evt_1", "payment_intent.succeeded", "pi_0")
    assert not await webhook(world, "evt_1", "payment_intent.succeeded", "pi_0")
    assert await webhook(world, "evt_2", "charge.succeeded", "pi_0")
    await inbox.run()
    assert await inbox.run() == 0
    assert await world.state(wish.order_id) == "paid"
    assert await world.stock_of(variant) == (2, 0, 1)
    await world.assert_books_balance()


async def test_a_webhook_that_tells_nothing_new_costs_no_call(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)
    asked: list[str] = []

    async def counted(intent: str) -> Any:
        asked.append(intent)
        return ()

    world.provider.retrieve = world.provider.list_refunds = counted
    inbox = WebhookInbox(world.payments, world.provider, world.settler, world.refund_book)
    for n, kind in enumerate(("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")):
        await webhook(world, f"evt_{n}", kind, "pi_0")
    assert await inbox.run() == 3
    assert (asked, await inbox.run()) == ([], 0)
    await webhook(world, "evt_refund", "charge.refunded", "pi_0")
    await inbox.run()
    assert asked == ["pi_0"]


async def test_a_webhook_about_nothing_of_ours_is_put_aside(world: World) -> None:
    await world.payments.receive_webhook("evt_x", "payment_intent.succeeded", {"object": "nonsense"})
    await world.payments.receive_webhook("evt_y", "customer.created", {})
    inbox = WebhookInbox(world.payments, world.provider, world.settler, world.refund_book)
    assert await inbox.run() == 2
    assert await world.pool.fetchval("SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL") == 0


class Events:
    """A provider's list, newest first."""

    def __init__(self, *made_at: float) -> None:
        self.made_at = sorted(made_at, reverse=True)
        self.asked: list[tuple[float, float | None]] = []

    async def events_between(
        self, created_after: float, created_before: float | None = None, types: Iterable[str] = ()
    ) -> AsyncIterator[Event]:
        self.asked.append((created_after, created_before))
        about = {"object": "payment_intent", "id": "pi_0"}
        for at in self.made_at:
            if created_after <= at < (created_before or at + 1):
                yield Event(f"evt_{at:.0f}", "payment_intent.succeeded", int(at), False, about)


NOON, HOUR_S = 1_000_000_000.0, 3_600.0


async def swept_from(world: World, at: float, events: Events, now: float = NOON) -> EventSweep:
    await JobMarks(world.pool).note("sweep", datetime.fromtimestamp(at, UTC))
    return EventSweep(world.payments, JobMarks(world.pool), events, lambda: now)


async def test_a_lost_webhook_is_found_by_the_sweep(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person("action"), (variant, 1))
    await world.charged(wish)
    world.provider.intents["pi_0"].status = "paid"
    events = Events(NOON - 8 * HOUR_S, NOON - 10)
    sweep = await swept_from(world, NOON - 8 * HOUR_S, events)  # eight hours without a worker
    assert [await sweep.run() for _ in range(4)] == [1, 1, 0, 0]
    first = NOON - 8 * HOUR_S - 900
    assert events.asked[:2] == [(first, first + 6 * HOUR_S + 1), (first + 6 * HOUR_S - 900, None)]
    assert events.asked[2:] == [(NOON - 10 - 900, None)] * 2
    await WebhookInbox(world.payments, world.provider, world.settler, world.refund_book).run()
    assert await world.state(wish.order_id) == "paid"


async def test_a_clock_that_is_ahead_makes_the_sweep_pass_over_nothing(world: World) -> None:
    events = Events()
    sweep = await swept_from(world, NOON - 60, events, now=NOON + HOUR_S)
    assert await sweep.run() == 0
    events.made_at = [NOON + 5]
    assert await sweep.run() == 1


async def test_refunds_never_exceed_what_was_paid(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)
    staff = wish.user_id
    first = await asyncio.gather(
        *(world.shopkeeper.refund(wish.order_id, 800, "late", staff) for _ in range(3)),
        return_exceptions=True,
    )
    refused = [e for e in first if isinstance(e, NotPossible)]
    assert [e.code for e in refused] == ["refund_too_large"] * 2
    refunds = Refunds(world.refunds, world.refund_book, world.provider)
    world.provider.lose = 1
    await refunds.run()
    assert await world.pool.fetchval("SELECT refunded_minor FROM orders") == 0
    await world.pool.execute("UPDATE refunds SET due_at = now() - interval '1 s'")
    await refunds.run()
    row = await world.pool.fetchrow("SELECT state, refunded_minor FROM orders")
    assert row is not None
    assert tuple(row) == ("paid", 800)

    await world.shopkeeper.refund(wish.order_id, 690, "all of it", staff, restock=True)
    await refunds.run()
    assert await world.state(wish.order_id) == "refunded"
    assert world.provider.intents["pi_0"].refunded == 1_490
    assert await world.stock_of(variant) == (3, 0, 0)
    await world.gatekeeper.mend(world.shop_id)
    await world.assert_books_balance()
    await world.assert_gate_agrees()


async def test_the_same_refund_asked_twice_is_one(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)
    number = "01890a5d-ac96-774b-bcce-b302099a8057"
    for _ in range(2):
        await world.shopkeeper.refund(wish.order_id, 100, "twice", wish.user_id, refund_id=number)
    assert await world.pool.fetchval("SELECT count(*) FROM refunds") == 1


async def test_a_refund_the_provider_refuses_is_said_in_the_history(world: World) -> None:
    variant = await world.variant(3)
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)
    world.provider.intents["pi_0"].refunded = 1_490
    await world.shopkeeper.refund(wish.order_id, 100, "late", wish.user_id)
    await Refunds(world.refunds, world.refund_book, world.provider).run()
    detail = await world.pool.fetchval("SELECT detail FROM order_events WHERE kind = 'refund_failed'")
    assert detail["code"] == "charge_already_refunded"


async def test_a_refund_that_came_to_nothing_puts_nothing_on_sale(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant, refunds = (
        await world.variant(3),
        Refunds(world.refunds, world.refund_book, world.provider),
    )
    wish = world.wish(await world.person(), (variant, 1))
    await world.charged(wish)

    async def refused(*_: Any, **__: Any) -> RefundRefused:
        return RefundRefused("insufficient_funds", "There is not enough money in the account.")

    await world.shopkeeper.refund(wish.order_id, 1_490, "returned whole", wish.user_id, restock=True)
    with monkeypatch.context() as poor:
        poor.setattr(world.provider, "refund", refused)
        await refunds.run()
    await world.shopkeeper.refund(wish.order_id, 1_490, "arrived broken", wish.user_id)
    await refunds.run()
    assert await world.state(wish.order_id) == "refunded"
    assert await world.stock_of(variant) == (2, 0, 1)
    await world.assert_books_balance()


async def test_a_refunded_order_no_longer_counts_for_its_buyer(world: World) -> None:
    variant, ada = await world.variant(3, limit=1), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    await world.shopkeeper.refund(wish.order_id, 1_490, "all", ada)
    await Refunds(world.refunds, world.refund_book, world.provider).run()
    assert (await world.tap.buy(world.wish(ada, (variant, 1)))).state == "charging"


async def test_only_a_paid_order_is_sent(world: World) -> None:
    variant = await world.variant(3)
    good, bad = (
        world.wish(await world.person(), (variant, 1)),
        world.wish(await world.person("declined"), (variant, 1)),
    )
    for wish in (good, bad):
        await world.tap.buy(wish)
    await world.queue.idle()
    for _ in range(2):
        assert (await world.shopkeeper.fulfil(good.order_id, good.user_id)).state == "fulfilled"
    with pytest.raises(NotPossible, match="Only a paid order"):
        await world.shopkeeper.fulfil(bad.order_id, bad.user_id)


async def test_what_is_said_is_kept(world: World) -> None:
    log = ShowLog(world.redis)
    archive = Archive(world.pool, log)
    assert await archive.run() == 0

    async def say(n: int) -> None:
        event = Commented(n=0, at_ms=1_700_000_000_000, comment_id=str(n), user_id="u", name="A", text="hi")
        await log.append(world.show_id, f"c{n}", event)

    for n in range(3):
        await say(n)
    assert await archive.run() == 3
    await say(3)
    assert [await archive.run(), await archive.run()] == [1, 0]
    await world.redis.flushall()  # a new epoch begins beside the old one
    await say(4)
    assert await archive.run() == 1
    rows = await world.pool.fetch("SELECT n, event FROM show_events ORDER BY epoch, n")
    assert sorted(row["event"]["comment_id"] for row in rows) == ["0", "1", "2", "3", "4"]


_KINDS_KEPT = "SELECT count(DISTINCT event ->> 'type') FROM show_events"


async def test_all_jobs_together_carry_a_tap_into_the_room(world: World) -> None:
    log = ShowLog(world.redis)
    variant = await world.variant(2)
    channel = world.redis.pubsub()
    runner = Runner(
        checkout_jobs(world.checkout, LogNews(log, world.redis), log), registry := CollectorRegistry()
    )
    working = asyncio.create_task(runner.run())
    try:
        ada = await world.person()
        await channel.subscribe(f"hawker:user:{ada}")
        wish = world.wish(ada, (variant, 1))
        await world.tap.buy(wish)
        async with asyncio.timeout(30):
            while True:
                told = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                if told and b'"paid"' in told["data"]:
                    break
            while await world.pool.fetchval(_KINDS_KEPT) < 2:
                await asyncio.sleep(0.02)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await channel.aclose()
    events = [row["event"] for row in await world.pool.fetch("SELECT event FROM show_events ORDER BY n")]
    assert {event["type"] for event in events} == {"stock_changed", "purchased"}
    assert events[-1].get("available", 1) == 1
    assert registry.get_sample_value("hawker_job_items_total", {"job": "news"})


async def test_a_job_that_fails_waits_and_leaves_the_others_alone() -> None:
    ran: Counter[str] = Counter()
    enough = asyncio.Event()

    async def bad() -> int:
        ran["bad"] += 1
        raise OSError

    async def good() -> int:
        ran["good"] += 1
        if ran["good"] == 20:
            enough.set()
        return 1

    registry = CollectorRegistry()
    runner = Runner([Job("bad", bad, 0.05), Job("good", good, 10.0)], registry)
    working = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        await enough.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert ran["bad"] < 20
    assert registry.get_sample_value("hawker_job_failures_total", {"job": "bad"}) == ran["bad"]
