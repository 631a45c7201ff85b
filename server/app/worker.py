"""The worker role: carries news out and finishes what crashes left behind. Any number may run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overlay.log import ShowLog, open_redis
from overlay.signals import revoke_session
from server.app.checkout import Checkout, open_checkout
from server.app.http import listen, serving
from server.checkout.room_news import LogNews
from server.config import Settings
from server.jobs.charges import ActionDeadlines, EventSweep, Refunds, StaleCharges, WebhookInbox
from server.jobs.news import OrderMail, Publisher, RoomTeller, each
from server.jobs.runner import Job, Runner
from server.mail import Mailer, carrier
from server.store.outbox import OutboxRow, OutboxStore
from server.store.pool import Pool, open_pool

_SOON_S, _OFTEN_S, _SELDOM_S = 0.05, 1.0, 60.0
_NEWS_KEPT_S = 7 * 86_400


def news_jobs(settings: Settings, pool: Pool, redis: Redis, checkout: Checkout) -> list[Job]:
    """What was committed, told to rooms, buyers and the post."""
    outbox = OutboxStore(pool)
    mailer = Mailer(
        carrier(settings.smtp_url, settings.data_dir), settings.mail_from, lambda: datetime.now(UTC)
    )
    teller = RoomTeller(checkout.orders, checkout.stock, LogNews(ShowLog(redis), redis))

    async def close_sockets(row: OutboxRow) -> None:
        await revoke_session(redis, row.payload["session_id"])

    letters = OrderMail(pool, mailer.deliver, settings.public_url)
    revocations = {"session_revoked": each(close_sockets)}
    return [
        Job("room-news", Publisher(outbox, "room", teller.handlers()).run, _SOON_S),
        Job("mail", Publisher(outbox, "mail", letters.handlers()).run, _OFTEN_S, deadline_s=120),
        Job("revocations", Publisher(outbox, "revocations", revocations).run, _OFTEN_S),
        Job("outbox-prune", lambda: outbox.prune(_NEWS_KEPT_S), _SELDOM_S),
    ]


def money_jobs(checkout: Checkout) -> list[Job]:
    """Whatever a crash, a lost reply or a lost webhook left undecided."""
    store, orders, gateway = checkout.payments, checkout.orders, checkout.gateway
    return [
        Job("charges", StaleCharges(store, checkout.charger).run, _OFTEN_S),
        Job("action-deadlines", ActionDeadlines(store, orders, checkout.buyer).run, _OFTEN_S),
        Job("webhooks", WebhookInbox(store, gateway, checkout.settler).run, 0.25),
        Job("event-sweep", EventSweep(store, gateway, time.time).run, 5 * _SELDOM_S, deadline_s=120),
        Job("refunds", Refunds(store, orders, gateway, checkout.inventory).run, _OFTEN_S),
    ]


def about(registry: CollectorRegistry, pool: Pool, redis: Redis) -> Starlette:
    """`/healthz` and `/metrics` of the worker."""

    async def healthz(request: Request) -> Response:
        parts = {"postgres": await _well(pool.fetchval("SELECT 1")), "redis": await _well(redis.ping())}
        well = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if well else "down", "parts": parts}
        return Response(
            msgspec.json.encode(body), 200 if well else 503, {"cache-control": "no-store"}, "application/json"
        )

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


async def _well(question: object) -> str:
    try:
        async with asyncio.timeout(2):
            await question  # type: ignore[misc]
    except Exception as error:  # whatever it is, it is what health is asked for
        return type(error).__name__
    return "ok"


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Work until cancelled; what a job has begun and not ended is claimed again by the next worker."""
    bound = listen(settings.worker_host, settings.worker_port)
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    registry = CollectorRegistry()
    try:
        async with (
            open_pool(settings.database_url, max_size=settings.database_pool) as pool,
            open_checkout(settings, pool, redis, "worker") as checkout,
            serving(about(registry, pool, redis), bound),
        ):
            runner = Runner([*news_jobs(settings, pool, redis, checkout), *money_jobs(checkout)], registry)
            ready()
            await runner.run()
    finally:
        await redis.aclose()
