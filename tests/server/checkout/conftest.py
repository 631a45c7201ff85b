"""A shop on real PostgreSQL and Valkey, with a payment provider that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import pytest
import uuid_utils

from overlay.log import open_redis
from server.checkout.buyer import Buyer
from server.checkout.charge import ChargeQueue, Charger
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.settle import Settler
from server.checkout.shopkeeper import Shopkeeper
from server.checkout.tap import Tap
from server.payments.outcomes import (
    ActionNeeded,
    Cancelled,
    CancelOutcome,
    ChargeOutcome,
    Declined,
    NotCancellable,
    Paid,
    PaymentView,
    PaymentViews,
    Refunded,
    RefundOutcome,
    RefundRefused,
    Unknown,
)
from server.shop.ids import OrderId, ShopId, ShowId, UserId, VariantId
from server.shop.wish import Wish, WishLine
from server.store.inventory import RedisInventory
from server.store.orders import OrderStore
from server.store.payments import PaymentStore
from server.store.placing import OrderWriter
from server.store.pool import Pool, open_pool
from server.store.stock import StockStore


@dataclass
class Intent:
    id: str
    order_id: str
    amount: int
    status: str
    customer: str
    metadata: dict[str, str]
    refunded: int = 0


@dataclass
class ScriptedProvider:
    """Stripe's rules that matter here, in memory: a key answers the same for ever; refunds never exceed a payment.

    `cards` says how a payment method answers: paid, declined or action. `lose` and `refuse` calls: how many of
    the next replies are lost after, or before, the provider acted.
    """

    cards: dict[str, str] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    replies: dict[str, Any] = field(default_factory=dict)
    lose: int = 0
    refuse: int = 0
    charges: int = 0
    delay_s: float = 0.0

    async def charge(
        self,
        *,
        order_id: str,
        amount_minor: int,
        currency: str,
        customer: str,
        payment_method: str,
        idempotency_key: str,
        off_session: bool = False,
        capture: Literal["automatic", "manual"] = "automatic",
        metadata: Mapping[str, str] | None = None,
    ) -> ChargeOutcome:
        self.charges += 1
        await asyncio.sleep(self.delay_s)
        if self.refuse:
            self.refuse -= 1
            return Unknown("connection_lost")
        if idempotency_key not in self.replies:
            status = self.cards.get(payment_method, "paid")
            made = Intent(f"pi_{len(self.intents)}", order_id, amount_minor, status, customer, {})
            made.metadata = {**(metadata or {}), "order": order_id}
            self.intents[made.id] = made
            self.replies[idempotency_key] = self._outcome(made)
        if self.lose:
            self.lose -= 1
            return Unknown("timeout")
        reply: ChargeOutcome = self.replies[idempotency_key]
        return reply

    def _outcome(self, intent: Intent) -> ChargeOutcome:
        match intent.status:
            case "paid":
                return Paid(intent.id, intent.amount)
            case "action":
                return ActionNeeded(intent.id, f"{intent.id}_secret")
            case "cancelled":
                return Declined(intent.id, "canceled", None, "cancelled")
            case _:
                return Declined(intent.id, "card_declined", "insufficient_funds", "No money.")

    async def retrieve(self, payment_intent: str) -> PaymentView:
        return self._view(self.intents[payment_intent])

    def _view(self, i: Intent) -> PaymentView:
        status = {
            "paid": "succeeded",
            "action": "requires_action",
            "cancelled": "canceled",
            "declined": "requires_payment_method",
        }[i.status]
        failed = "card_declined" if i.status == "declined" else None
        return PaymentView(
            id=i.id,
            status=status,
            amount_minor=i.amount,
            currency="eur",
            amount_received_minor=i.amount if i.status == "paid" else 0,
            amount_capturable_minor=0,
            amount_refunded_minor=i.refunded,
            customer=i.customer,
            payment_method=None,
            order_id=i.order_id,
            metadata=i.metadata,
            created=0,
            capture_before=None,
            failure_code=failed,
            decline_code="insufficient_funds" if failed else None,
            failure_message="No money." if failed else None,
            client_secret=f"{i.id}_secret",
        )

    async def cancel(self, payment_intent: str, idempotency_key: str) -> CancelOutcome:
        intent = self.intents[payment_intent]
        if intent.status == "paid":
            return NotCancellable(intent.id, "succeeded")
        intent.status = "cancelled"
        return Cancelled(intent.id)

    async def list_for_customer(
        self, customer: str, created_after: float, at_most: int = 1_000
    ) -> PaymentViews:
        found = [self._view(i) for i in reversed(self.intents.values()) if i.customer == customer]
        return PaymentViews(tuple(found), True)

    async def refund(
        self, payment_intent: str, amount_minor: int | None, idempotency_key: str, reason: str | None = None
    ) -> RefundOutcome:
        intent = self.intents[payment_intent]
        if idempotency_key not in self.replies:
            amount = amount_minor or intent.amount - intent.refunded
            if intent.refunded + amount > intent.amount:
                return RefundRefused("charge_already_refunded", "More than is left.")
            intent.refunded += amount
            self.replies[idempotency_key] = Refunded(f"re_{len(self.replies)}", amount, "succeeded")
        if self.lose:
            self.lose -= 1
            return Unknown("timeout")
        reply: RefundOutcome = self.replies[idempotency_key]
        return reply

    def paid(self, order_id: str) -> list[Intent]:
        return [i for i in self.intents.values() if i.order_id == order_id and i.status == "paid"]


@dataclass
class World:
    """The checkout wired as a process wires it, and what tests ask of its stores."""

    pool: Pool
    redis: Any
    provider: ScriptedProvider
    gate: RedisInventory
    gatekeeper: Gatekeeper
    writer: OrderWriter
    orders: OrderStore
    payments: PaymentStore
    stock: StockStore
    settler: Settler
    charger: Charger
    queue: ChargeQueue
    tap: Tap
    buyer: Buyer
    shopkeeper: Shopkeeper
    shop_id: ShopId
    show_id: ShowId
    product_id: str

    async def variant(self, available: int, *, price: int = 1_000, limit: int = 0) -> VariantId:
        variant_id = VariantId(str(uuid4()))
        await self.pool.execute(
            "INSERT INTO variants (id, product_id, title, price_minor, buyer_limit) VALUES ($1, $2, 'M', $3, $4)",
            variant_id,
            self.product_id,
            price,
            limit,
        )
        await self.shopkeeper.set_stock(self.shop_id, variant_id, available, None)
        return variant_id

    async def person(self, card: str = "paid", *, address: bool = True) -> UserId:
        user_id = UserId(str(uuid4()))
        await self.pool.execute(
            "INSERT INTO users (id, email, password_hash, display_name) VALUES ($1, $2, 'x', 'Ada Byron')",
            user_id,
            f"{user_id}@example.org",
        )
        await self.pool.execute("INSERT INTO payment_customers VALUES ($1, $2)", user_id, f"cus_{user_id}")
        if card:
            await self.card(user_id, card)
        if address:
            await self.pool.execute(
                "INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country)"
                " VALUES ($1, $2, 'Ada', 'Main Street 1', 'Berlin', '10115', 'DE')",
                str(uuid4()),
                user_id,
            )
        return user_id

    async def card(self, user_id: str, behaviour: str) -> str:
        card_id, method = str(uuid4()), f"pm_{uuid4()}"
        self.provider.cards[method] = behaviour
        await self.pool.execute(
            "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)"
            " VALUES ($1, $2, $3, 'visa', '4242', 12, 2040)",
            card_id,
            user_id,
            method,
        )
        return card_id

    def wish(self, user_id: UserId, *lines: tuple[str, int], price: int = 1_000, **more: Any) -> Wish:
        return Wish(
            order_id=more.pop("order_id", None) or OrderId(str(uuid_utils.uuid7())),
            shop_id=self.shop_id,
            show_id=self.show_id,
            user_id=user_id,
            lines=tuple(WishLine(VariantId(v), q, price) for v, q in lines),
            **more,
        )

    async def state(self, order_id: str) -> str | None:
        found: str | None = await self.pool.fetchval("SELECT state FROM orders WHERE id = $1", order_id)
        return found

    async def stock_of(self, variant_id: str) -> tuple[int, int, int]:
        row = await self.pool.fetchrow(
            "SELECT available, held, sold FROM stock WHERE variant_id=$1", variant_id
        )
        assert row is not None
        return (row[0], row[1], row[2])

    async def gate_says(self, variant_id: str) -> int | None:
        view = await self.gate.read(self.shop_id)
        known = view.variants.get(variant_id)
        return known.available if known else None

    async def assert_books_balance(self) -> None:
        """stock is the sum of its movements; held is what open orders have; one payment a paid order."""
        wrong = await self.pool.fetch(
            """SELECT s.* FROM stock s LEFT JOIN (
                 SELECT variant_id, sum(available_delta) a, sum(held_delta) h, sum(sold_delta) o
                 FROM stock_movements GROUP BY 1) m USING (variant_id)
               WHERE (s.available, s.held, s.sold) IS DISTINCT FROM
                     (coalesce(m.a, 0), coalesce(m.h, 0), coalesce(m.o, 0))"""
        )
        assert not wrong
        wrong = await self.pool.fetch(
            """SELECT s.variant_id, s.held, s.sold FROM stock s WHERE
                 s.held <> (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
                            WHERE l.variant_id = s.variant_id AND o.state IN ('charging', 'action_needed'))
              OR s.sold <> (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
                            WHERE l.variant_id = s.variant_id AND o.state IN ('paid', 'fulfilled'))"""
        )
        assert not wrong
        for row in await self.pool.fetch("SELECT id::text, state, payment_intent_ref FROM orders"):
            kept = [i for i in self.provider.paid(row["id"]) if i.refunded < i.amount]
            expected = [row["payment_intent_ref"]] if row["state"] in ("paid", "fulfilled") else []
            assert [i.id for i in kept] == expected, dict(row)

    async def assert_gate_agrees(self) -> None:
        rows = await self.pool.fetch("SELECT variant_id::text, available FROM stock")
        view = await self.gate.read(self.shop_id)
        truth = {row["variant_id"]: row["available"] for row in rows if row["variant_id"] in view.variants}
        assert {v: known.available for v, known in view.variants.items()} == truth


async def build(
    pool: Pool, redis: Any, owner: str = "test", provider: ScriptedProvider | None = None
) -> World:
    provider = provider or ScriptedProvider()
    gate = RedisInventory(redis)
    stock = StockStore(pool)
    gatekeeper = Gatekeeper(gate, stock)
    writer = OrderWriter(pool, owner=owner)
    orders = OrderStore(pool, owner=owner)
    payments = PaymentStore(pool, owner=owner)
    settler = Settler(orders, gate)
    charger = Charger(orders, payments, provider, settler)
    queue = ChargeQueue(charger, payments)
    return World(
        pool=pool,
        redis=redis,
        provider=provider,
        gate=gate,
        gatekeeper=gatekeeper,
        writer=writer,
        orders=orders,
        payments=payments,
        stock=stock,
        settler=settler,
        charger=charger,
        queue=queue,
        tap=Tap(gate, gatekeeper, writer, queue.put),
        buyer=Buyer(orders, gate, gatekeeper, provider, settler, queue.put),
        shopkeeper=Shopkeeper(orders, stock, gate),
        shop_id=ShopId(str(uuid4())),
        show_id=ShowId(str(uuid4())),
        product_id=str(uuid4()),
    )


async def seed(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO shops (id, slug, name, currency, country, tax_rate_bp, flat_shipping_minor)"
        " VALUES ($1, $2, 'Shop', 'EUR', 'DE', 1900, 490)",
        world.shop_id,
        world.shop_id,
    )
    await world.pool.execute(
        "INSERT INTO products (id, shop_id, handle, title) VALUES ($1, $2, 'cup', 'Cup')",
        world.product_id,
        world.shop_id,
    )
    await world.pool.execute(
        "INSERT INTO shows (id, shop_id, title, state, playback_id, starts_at)"
        " VALUES ($1, $2, 'Evening', 'live', $3, now())",
        world.show_id,
        world.shop_id,
        world.show_id,
    )
    await world.pool.execute(
        "INSERT INTO show_items (show_id, product_id, position) VALUES ($1, $2, 0)",
        world.show_id,
        world.product_id,
    )


@pytest.fixture
async def world(migrated_database_url: str, redis_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(migrated_database_url, max_size=12))
        redis = await stack.enter_async_context(open_redis(redis_url))
        world = await build(pool, redis)
        await pool.execute("TRUNCATE shops, users, outbox, webhook_inbox, refunds CASCADE")
        await seed(world)
        charging = asyncio.create_task(world.queue.run())
        yield world
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
