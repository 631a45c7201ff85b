"""The routes' own collaborators, made from what the composition root has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from server.auth.accounts import Accounts
from server.auth.limits import Limits
from server.auth.passwords import Passwords
from server.auth.staff import Staff
from server.checkout.wiring import Checkout
from server.config import Settings
from server.images import Images
from server.media import NodeRegistry
from server.payments.gateway import StripeGateway
from server.routes.deps import Deps, Rooms
from server.routes.network import TrustedProxies
from server.store.pool import Pool
from server.tickets import Tickets


def utc_now() -> datetime:
    return datetime.now(UTC)


def wire(
    settings: Settings,
    pool: Pool,
    redis: Redis,
    *,
    dist: Path,
    passwords: Passwords,
    images: Images,
    checkout: Checkout,
    rooms: Rooms,
    cards: StripeGateway,
    clock: Callable[[], datetime] = utc_now,
    metrics: CollectorRegistry | None = None,
) -> Deps:
    limits = Limits(redis, lambda: clock().timestamp())
    return Deps(
        settings=settings,
        pool=pool,
        redis=redis,
        clock=clock,
        limits=limits,
        accounts=Accounts(pool, redis, passwords, limits, clock, settings.public_url),
        staff=Staff(pool, redis, limits, clock, settings.public_url),
        tickets=Tickets(redis),
        nodes=NodeRegistry(redis),
        proxies=TrustedProxies.of(settings.trusted_proxies),
        images=images,
        tap=checkout.tap,
        buyer=checkout.buyer,
        shopkeeper=checkout.shopkeeper,
        waitlists=checkout.ways.waitlists,
        rooms=rooms,
        cards=cards,
        inbox=checkout.payments,
        dist=dist,
        metrics=metrics or CollectorRegistry(),
    )
