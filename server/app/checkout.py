"""The checkout of a role that sells: its gateway, and its charges running while the role does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from overlay.tasks import end
from server.checkout.wiring import Checkout, checkout
from server.config import Settings
from server.payments.gateway import StripeGateway
from server.payments.rate_limit import RateLimit
from server.store.gate_link import Address, GateLink
from server.store.pool import Pool
from server.store.turns import SharedTurns

_DRAIN_S = 8.0
# A little below Stripe's own limits (docs.stripe.com, rate limits).
_LIVE, _TEST = RateLimit(per_s=80, burst=40), RateLimit(per_s=20, burst=10)
_SIMULATED = RateLimit(per_s=400, burst=200)


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings, redis: Redis) -> AsyncIterator[StripeGateway]:
    """Stripe, or the server that stands in for it, with one line to it for all processes."""
    live = "_live_" in settings.stripe_secret_key
    limit = _SIMULATED if settings.stripe_api_url else _LIVE if live else _TEST
    if settings.stripe_per_s:
        limit = RateLimit(per_s=settings.stripe_per_s, burst=max(1, settings.stripe_per_s // 2))
    gateway = StripeGateway(
        settings.stripe_secret_key,
        base_url=settings.stripe_api_url or None,
        turns=SharedTurns(redis, settings.stripe_secret_key, limit),
    )
    try:
        yield gateway
    finally:
        await gateway.close()


@contextlib.asynccontextmanager
async def charging(pool: Pool, redis: Redis, gateway: StripeGateway) -> AsyncIterator[Checkout]:
    """The checkout with its charge queue running; at the end charges under way are seen through, bounded."""
    link = GateLink(Address.of(redis))
    parts = checkout(pool, redis, gateway, gate_link=link)
    running = asyncio.create_task(parts.queue.run(), name="charges")
    try:
        yield parts
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await parts.queue.idle()
        await parts.teller.close()
        await parts.gatekeeper.close()
        await end([running])
        await link.close()
