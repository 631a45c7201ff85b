"""The checkout put together from a pool, a Redis client and a gateway: the same in every role."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass

from redis.asyncio import Redis

from server.checkout.auctions.auctioneer import Auctioneer
from server.checkout.auctions.teller import Teller
from server.checkout.auctions.wiring import auction_parts
from server.checkout.buyer import Buyer
from server.checkout.charge import ChargeQueue, Charger
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.metrics import CheckoutMetrics
from server.checkout.ports import Gateway
from server.checkout.refund_runs import RefundRuns
from server.checkout.refunds import RefundBook
from server.checkout.room_shop import RoomShop
from server.checkout.selling import Selling
from server.checkout.settle import ACTION_DEADLINE_S, Settler
from server.checkout.shopkeeper import Shopkeeper
from server.checkout.tap import HOLD_MS, Tap
from server.checkout.ways.wiring import Ways, ways_parts
from server.store.inventory import Line, RedisInventory
from server.store.orders import OrderStore
from server.store.payments import PaymentStore
from server.store.placing import OrderWriter
from server.store.pool import Pool
from server.store.refund_runs import RunStore
from server.store.refunds import RefundStore
from server.store.stock import StockStore

LEASE_S = 8.0  # the longest that an order waits for another process after its own has died


@dataclass(frozen=True, slots=True)
class Checkout:
    """Run `queue.run()` for as long as taps are taken; without it every charge is left to the worker."""

    pool: Pool
    gateway: Gateway
    metrics: CheckoutMetrics
    gate: RedisInventory
    stock: StockStore
    writer: OrderWriter
    orders: OrderStore
    payments: PaymentStore
    gatekeeper: Gatekeeper
    settler: Settler
    refunds: RefundStore
    refund_book: RefundBook
    refund_runs: RefundRuns
    charger: Charger
    queue: ChargeQueue
    tap: Tap
    buyer: Buyer
    shopkeeper: Shopkeeper
    selling: Selling
    ways: Ways
    auctioneer: Auctioneer
    teller: Teller
    room_shop: RoomShop


def process_name() -> str:
    """Names this process in leases: unlike every other, also one that had its pid before."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def checkout(
    pool: Pool,
    redis: Redis,
    gateway: Gateway,
    *,
    owner: str | None = None,
    lease_s: float = LEASE_S,
    action_deadline_s: float = ACTION_DEADLINE_S,
    hold_ms: int = HOLD_MS,
    gate_link: Line | None = None,
) -> Checkout:
    """`redis` must not repeat commands by itself (overlay.log.open_redis), `gate_link` see RedisInventory."""
    owner = owner or process_name()
    gate, stock = RedisInventory(redis, link=gate_link), StockStore(pool)
    gatekeeper = Gatekeeper(gate, stock)
    writer = OrderWriter(pool, owner=owner, lease_s=lease_s)
    orders = OrderStore(pool, owner=owner, lease_s=lease_s)
    payments = PaymentStore(pool, owner=owner, lease_s=lease_s)
    settler = Settler(orders, gate, gateway, action_deadline_s=action_deadline_s)
    refunds = RefundStore(pool, lease_s=lease_s)
    metrics = CheckoutMetrics()
    charger = Charger(orders, payments, gateway, settler, counts=metrics)
    queue = ChargeQueue(charger, payments, lease_s=lease_s)
    tap = Tap(gate, gatekeeper, writer, queue.put, hold_ms=hold_ms, counts=metrics)
    shopkeeper = Shopkeeper(orders, stock, gate)
    ways = ways_parts(pool, redis, gate, gatekeeper)
    auctions = auction_parts(pool, redis, gate, queue.put, owner=owner, lease_s=lease_s)
    selling = Selling(auctions.counter, *ways.counters())
    return Checkout(
        pool=pool,
        gateway=gateway,
        metrics=metrics,
        gate=gate,
        stock=stock,
        writer=writer,
        orders=orders,
        payments=payments,
        gatekeeper=gatekeeper,
        settler=settler,
        refunds=refunds,
        refund_book=RefundBook(orders, refunds, gateway, settler, gate),
        refund_runs=RefundRuns(RunStore(pool, lease_s=lease_s), orders, selling),
        charger=charger,
        queue=queue,
        tap=tap,
        buyer=Buyer(orders, gate, gatekeeper, gateway, settler, queue.put, hold_ms=hold_ms),
        shopkeeper=shopkeeper,
        selling=selling,
        ways=ways,
        auctioneer=auctions.auctioneer,
        teller=auctions.teller,
        room_shop=RoomShop(pool, tap, shopkeeper, selling),
    )
