"""A process dies between any two steps; others finish its work. Nothing is sold or charged twice, or lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.checkout.buyer import Buyer
from server.checkout.charge import ChargeQueue, Charger
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.refunds import RefundBook
from server.checkout.settle import Settler
from server.checkout.tap import Tap
from server.checkout.wiring import Checkout, checkout
from server.jobs.checkout import checkout_jobs
from server.jobs.refunds import Refunds
from server.jobs.runner import Runner
from server.shop.ids import OrderId, UserId
from server.shop.wish import Wish
from server.store.placing import OrderWriter

from .fate import Died, Fate, Mortal
from .world import World

SHORT_S = 0.03


class Silent:
    """Rooms that hear everything and remember nothing."""

    async def stock_changed(self, *_: Any) -> None: ...

    async def price_changed(self, *_: Any) -> None: ...

    async def purchased(self, *_: Any) -> None: ...

    async def personal(self, *_: Any) -> None: ...


def mortal(world: World, fate: Fate) -> tuple[Tap, ChargeQueue, Buyer]:
    """A process of its own, wired like others, that dies as `fate` will have it."""
    parts = checkout(world.pool, world.redis, world.provider, owner="mortal", lease_s=SHORT_S)
    gate, orders = Mortal(parts.gate, fate), Mortal(parts.orders, fate)
    payments, provider = Mortal(parts.payments, fate), Mortal(world.provider, fate)
    writer = Mortal(OrderWriter(world.pool, owner="mortal", lease_s=SHORT_S), fate)
    gatekeeper = Gatekeeper(gate, Mortal(parts.stock, fate))  # type: ignore[arg-type]
    settler = Settler(orders, gate, provider, action_deadline_s=SHORT_S)  # type: ignore[arg-type]
    charger = Charger(orders, payments, provider, settler)  # type: ignore[arg-type]
    queue = ChargeQueue(charger, payments, lease_s=100)  # type: ignore[arg-type]
    tap = Tap(gate, gatekeeper, writer, queue.put, hold_ms=int(SHORT_S * 1000))  # type: ignore[arg-type]
    buyer = Buyer(
        orders,  # type: ignore[arg-type]
        gate,  # type: ignore[arg-type]
        gatekeeper,
        provider,  # type: ignore[arg-type]
        settler,
        queue.put,
        hold_ms=int(SHORT_S * 1000),
    )
    return tap, queue, buyer


def worker(world: World, owner: str = "worker") -> tuple[Checkout, Runner]:
    parts = checkout(
        world.pool, world.redis, world.provider, owner=owner, lease_s=SHORT_S, action_deadline_s=SHORT_S
    )
    jobs = [job for job in checkout_jobs(parts, Silent()) if job.name != "news"]
    return parts, Runner(jobs, CollectorRegistry())


async def recover(world: World, *runners: Runner) -> None:
    """Workers work until nothing is open."""
    for _ in range(60):
        await asyncio.sleep(SHORT_S / 2)
        await asyncio.gather(*(runner.once() for runner in runners))
        undecided = await world.pool.fetchval(
            "SELECT count(*) FROM orders WHERE state IN ('charging', 'action_needed')"
        )
        queued = await world.pool.fetchval("SELECT count(*) FROM refunds WHERE state = 'queued'")
        view = await world.gate.read(world.shop_id)
        if not undecided and not queued and not view.orders:
            break
    for runner in runners:
        await runner.drain()
    await world.assert_books_balance()
    await world.assert_gate_agrees()


async def live_and_die(tap: Tap, queue: ChargeQueue, wish: Wish) -> None:
    charging = asyncio.create_task(queue.run())
    buying = asyncio.create_task(tap.buy(wish))
    idle: asyncio.Task[None] | None = None
    try:
        await asyncio.wait([buying, charging], return_when=asyncio.FIRST_COMPLETED)
        idle = asyncio.create_task(queue.idle())
        await asyncio.wait([idle, charging], return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks = [task for task in (charging, buying, idle) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("card", ["paid", "declined", "action"])
async def test_death_at_every_moment_of_a_tap(world: World, card: str) -> None:
    variant = await world.variant(40)
    another, runner = worker(world)
    moments, at = set(), 0
    while True:
        fate = Fate(at)
        buyer = await world.person(card)
        wish = world.wish(buyer, (variant, 1))
        tap, queue, _ = mortal(world, fate)
        await live_and_die(tap, queue, wish)
        if not fate.died:
            break
        moments.add(fate.moments[-1])
        await recover(world, runner)
        if await world.state(wish.order_id) is None:  # never acknowledged: the buyer taps again
            await another.tap.buy(wish)
            await recover(world, runner)
        expected = {"paid": "paid", "declined": "declined", "action": "cancelled"}[card]
        assert await world.state(wish.order_id) == expected, fate.moments
        made = [i for i in world.provider.intents.values() if i.order_id == wish.order_id]
        assert len(made) == 1, fate.moments
        at += 1
    assert {
        "after reserve",
        "after place",
        "after begin",
        "after charge",
        "after write",
        "after commit",
    } <= moments


async def test_death_while_a_second_card_is_tried(world: World) -> None:
    variant = await world.variant(40)
    _, runner = worker(world)
    at = 0
    while True:
        ada = await world.person("declined")
        good = await world.card(ada, "paid")
        bad = await world.pool.fetchval(
            "SELECT id::text FROM cards WHERE user_id = $1 AND id <> $2", ada, good
        )
        wish = world.wish(ada, (variant, 2), card_id=bad)
        await world.charged(wish)
        fate = Fate(at)
        _, _, buyer = mortal(world, fate)
        with contextlib.suppress(Died):
            await buyer.retry(OrderId(wish.order_id), UserId(ada), good)
        await recover(world, runner)
        assert await world.state(wish.order_id) in ("declined", "paid")
        if not fate.died:
            break
        at += 1
    assert at > 5


@pytest.mark.parametrize("fault", ["", "lose", "fail", "fail_after"])
async def test_death_at_every_moment_of_a_refund(world: World, fault: str) -> None:
    variant, at = await world.variant(40), 0
    while True:
        wish = world.wish(await world.person(), (variant, 1))
        await world.charged(wish)
        await world.shopkeeper.refund(wish.order_id, 500, "late", wish.user_id)
        if fault:
            setattr(world.provider, fault, 1)
        fate = Fate(at)
        provider, orders = Mortal(world.provider, fate), Mortal(world.orders, fate)
        book = RefundBook(orders, world.refunds, provider, world.settler, world.gate)  # type: ignore[arg-type]
        with contextlib.suppress(Died):
            for _ in range(3):
                await world.pool.execute("UPDATE refunds SET due_at = now() - interval '1 s'")
                await Refunds(Mortal(world.refunds, fate), book, provider, proof_s=0).run()  # type: ignore[arg-type]
        setattr(world.provider, fault or "lose", 0)
        for _ in range(4):
            await world.pool.execute("UPDATE refunds SET due_at = now() - interval '1 s'")
            alive = [Refunds(world.refunds, world.refund_book, world.provider, proof_s=0) for _ in range(2)]
            await asyncio.gather(*(refunds.run() for refunds in alive))
        given = await world.pool.fetchval("SELECT refunded_minor FROM orders WHERE id = $1", wish.order_id)
        (intent,) = world.provider.paid(wish.order_id)
        assert (given, intent.refunded) == (500, 500), fate.moments
        if not fate.died:
            break
        at += 2
    assert at > 4
    await world.assert_books_balance()


async def test_two_workers_share_what_a_dead_process_left(world: World) -> None:
    variant = await world.variant(30)
    world.provider.delay_s = 0.002
    for n in range(24):
        person = await world.person(["paid", "declined", "action"][n % 3])
        await world.writer.place(world.wish(person, (variant, 1)))
    await world.pool.execute("UPDATE payment_attempts SET lease_until = now()")
    (_, one), (_, two) = worker(world, "one"), worker(world, "two")
    await recover(world, one, two)
    assert await world.stock_of(variant) == (22, 0, 8)
    assert len(world.provider.intents) == 24


async def test_lost_replies_are_asked_again_with_the_same_key(world: World) -> None:
    variant = await world.variant(10)
    _, runner = worker(world)
    for lose, refuse in ((1, 0), (0, 1), (3, 2), (5, 5)):
        world.provider.lose, world.provider.refuse = lose, refuse
        wish = world.wish(await world.person(), (variant, 1))
        await world.charged(wish)
        assert await world.state(wish.order_id) == "charging"
        for _ in range(12):
            await world.pool.execute("UPDATE payment_attempts SET lease_until = now() - interval '1 s'")
            await runner.once()
        assert await world.state(wish.order_id) == "paid"
        assert len([i for i in world.provider.intents.values() if i.order_id == wish.order_id]) == 1
        world.provider.lose = world.provider.refuse = 0
    await recover(world, runner)


async def test_a_forgotten_key_is_looked_up_before_it_is_used(world: World) -> None:
    """Past a day the provider may have forgotten the key: replaying it would charge again."""
    variant = await world.variant(2)
    charged = world.wish(await world.person(), (variant, 1))
    never_sent = world.wish(await world.person(), (variant, 1))
    world.provider.lose = 1
    await world.charged(charged)
    await world.writer.place(never_sent)
    world.provider.replies.clear()
    await world.pool.execute(
        "UPDATE payment_attempts SET created_at = now() - interval '30 h',"
        " lease_until = now() - interval '1 s'"
    )
    _, runner = worker(world)
    await recover(world, runner)
    assert await world.state(charged.order_id) == await world.state(never_sent.order_id) == "paid"
    assert len(world.provider.intents) == 2


async def test_money_that_comes_twice_goes_back_once(world: World) -> None:
    """An intent nobody expected (made in a dashboard, say) is refunded; ours stays."""
    variant, ada = await world.variant(2), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    await world.provider.charge(
        order_id=wish.order_id,
        amount_minor=1_490,
        currency="eur",
        customer="x",
        payment_method="y",
        idempotency_key="another",
        metadata={"attempt": "1"},
    )
    extra = await world.provider.retrieve("pi_1")
    assert await world.settler.payment(extra)
    assert not await world.settler.payment(extra)
    _, runner = worker(world)
    await recover(world, runner)
    assert [i.refunded for i in world.provider.intents.values()] == [0, 1_490]
    assert await world.state(wish.order_id) == "paid"


@pytest.mark.parametrize("given_back", [False, True])
async def test_money_that_goes_back_pays_for_no_second_attempt(world: World, given_back: bool) -> None:
    """A payment turns up after its order was declined, and is told once more while another card is tried."""
    variant, ada = await world.variant(1), await world.person("declined")
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    (late,) = world.provider.intents.values()
    late.status = "paid"
    assert await world.settler.payment(await world.provider.retrieve(late.id))
    refunds = Refunds(world.refunds, world.refund_book, world.provider)
    if given_back:
        await refunds.run()
    world.provider.refuse = 1  # the second card's answer is late, too
    await world.buyer.retry(OrderId(wish.order_id), UserId(ada), await world.card(ada, "paid"))
    await world.queue.idle()
    assert not await world.settler.payment(await world.provider.retrieve(late.id))
    await world.charger.charge(wish.order_id, 2)
    await refunds.run()
    assert await world.state(wish.order_id) == "paid"
    assert [intent.amount - intent.refunded for intent in world.provider.intents.values()] == [0, 1_490]
    await world.assert_books_balance()


async def test_the_gate_is_wiped_in_the_middle(world: World) -> None:
    variant = await world.variant(12)
    people = [await world.person(["paid", "declined"][n % 2]) for n in range(40)]
    taps = [asyncio.create_task(world.tap.buy(world.wish(p, (variant, 1)))) for p in people]
    for _ in range(3):
        await asyncio.sleep(0.01)
        await world.redis.flushall()
        await world.redis.function_flush("SYNC")
    await asyncio.gather(*taps, return_exceptions=True)
    await world.queue.idle()
    _, runner = worker(world)
    await recover(world, runner)
    available, held, sold = await world.stock_of(variant)
    assert (available + sold, held) == (12, 0)
