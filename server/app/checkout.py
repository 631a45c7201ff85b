"""The money's parts, put together once for every role that sells: web, overlay and worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.asyncio import Redis

from server.checkout.buyer import Buyer
from server.checkout.charge import ChargeQueue, Charger
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.settle import Settler
from server.checkout.shopkeeper import Shopkeeper
from server.checkout.tap import Tap
from server.config import Settings
from server.payments.gateway import StripeGateway
from server.payments.rate_limit import RateLimit
from server.store.inventory import RedisInventory
from server.store.orders import OrderStore
from server.store.payments import PaymentStore
from server.store.placing import OrderWriter
from server.store.pool import Pool
from server.store.stock import StockStore

_DRAIN_S = 8.0
# A little below Stripe's own limits (docs.stripe.com, rate limits): several processes share them.
_LIVE, _TEST = RateLimit(per_s=80, burst=40), RateLimit(per_s=20, burst=10)
_SIMULATED = RateLimit(per_s=400, burst=200)


@dataclass(frozen=True, slots=True)
class Checkout:
    tap: Tap
    buyer: Buyer
    shopkeeper: Shopkeeper
    settler: Settler
    charger: Charger
    gateway: StripeGateway
    gatekeeper: Gatekeeper
    inventory: RedisInventory
    orders: OrderStore
    payments: PaymentStore
    stock: StockStore


def gateway_of(settings: Settings) -> StripeGateway:
    """Stripe, or the server that stands in for it."""
    simulated = bool(settings.stripe_api_url)
    live = "_live_" in settings.stripe_secret_key
    limit = _SIMULATED if simulated else _LIVE if live else _TEST
    return StripeGateway(
        settings.stripe_secret_key, base_url=settings.stripe_api_url or None, rate_limit=limit
    )


@contextlib.asynccontextmanager
async def open_checkout(settings: Settings, pool: Pool, redis: Redis, role: str) -> AsyncIterator[Checkout]:
    """The checkout with its charge queue running; at the end charges under way are seen through, bounded."""
    owner = f"{role}@{settings.node_id}"
    inventory, stock = RedisInventory(redis), StockStore(pool)
    orders, payments = OrderStore(pool, owner=owner), PaymentStore(pool, owner=owner)
    gateway, gatekeeper = gateway_of(settings), Gatekeeper(inventory, stock)
    settler = Settler(orders, inventory)
    charger = Charger(orders, payments, gateway, settler)
    queue = ChargeQueue(charger, payments)
    charging = asyncio.create_task(queue.run(), name="charges")
    try:
        yield Checkout(
            tap=Tap(inventory, gatekeeper, OrderWriter(pool, owner=owner), queue.put),
            buyer=Buyer(orders, inventory, gatekeeper, gateway, settler, queue.put),
            shopkeeper=Shopkeeper(orders, stock, inventory),
            settler=settler,
            charger=charger,
            gateway=gateway,
            gatekeeper=gatekeeper,
            inventory=inventory,
            orders=orders,
            payments=payments,
            stock=stock,
        )
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await queue.idle()
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await gateway.close()
