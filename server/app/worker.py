"""The worker role: carries news out and finishes what crashes left behind. Any number may run."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overlay.log import ShowLog, open_redis
from overlay.signals import revoke_session
from server.app.checkout import charging, open_gateway
from server.app.http import listen, serving
from server.checkout.ports import StoreTrouble
from server.checkout.room_news import LogNews
from server.checkout.wiring import Checkout
from server.config import Settings
from server.jobs.checkout import checkout_jobs
from server.jobs.news import OrderMail, each
from server.jobs.runner import Job, Runner
from server.mail import Mailer, carrier
from server.payments.gateway import StripeGateway
from server.store.book_checks import BookChecks, Check
from server.store.outbox import OutboxRow
from server.store.pool import Pool, open_pool
from server.store.verify import verify

# Up to four jobs hold a connection while they ask for another.
_POOL_LEAST = 10
_YIELDS = 5  # where they share a machine, people in the room come first


def jobs(settings: Settings, redis: Redis, checkout: Checkout, gateway: StripeGateway) -> list[Job]:
    """What was committed is told; what a crash, a lost reply or a lost webhook left undecided is finished."""
    log = ShowLog(redis)
    post = carrier(settings.smtp_url, settings.data_dir)
    mailer = Mailer(post, settings.mail_from, lambda: datetime.now(UTC))

    async def close_sockets(row: OutboxRow) -> None:
        await revoke_session(redis, row.payload["session_id"])

    return checkout_jobs(
        checkout,
        LogNews(log, redis),
        log,
        mail=OrderMail(checkout.pool, mailer.deliver, settings.public_url).handlers(),
        other_news={"session_revoked": each(close_sockets)},
        events=gateway,
        provider=gateway,
        verify=partial(verify, settings.database_url),
    )


def about(registry: CollectorRegistry, pool: Pool, redis: Redis) -> Starlette:
    """`/healthz` and `/metrics` of the worker."""

    async def healthz(request: Request) -> Response:
        parts = {"postgres": await _well(pool.fetchval("SELECT 1")), "redis": await _well(redis.ping())}
        well = all(state == "ok" for state in parts.values())
        body = {"status": "ok" if well else "down", "parts": parts | await _books(pool)}
        return Response(
            msgspec.json.encode(body), 200 if well else 503, {"cache-control": "no-store"}, "application/json"
        )

    findings = Gauge("hawker_books_findings", "Found wrong by the last check", ["kind"], registry=registry)
    checked = Gauge("hawker_books_checked_seconds", "When that check ran", ["kind"], registry=registry)

    async def metrics(request: Request) -> Response:
        for check in await _checks(pool):
            findings.labels(check.kind).set(max(len(check.findings), not check.passed))
            checked.labels(check.kind).set(check.at.timestamp())
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


async def _checks(pool: Pool) -> list[Check]:
    """The last daily checks, by whichever worker; none while PostgreSQL is away, as its own state says."""
    try:
        async with asyncio.timeout(2):
            return await BookChecks(pool).newest()
    except (StoreTrouble, TimeoutError):
        return []


async def _books(pool: Pool) -> dict[str, str]:
    """What they found. Broken books are no reason to restart: a person has to look."""
    return {
        check.kind: f"{'ok' if check.passed else check.findings[0]} ({check.at:%Y-%m-%d %H:%M} UTC)"
        for check in await _checks(pool)
    }


async def _well(question: object) -> str:
    try:
        async with asyncio.timeout(2):
            await question  # type: ignore[misc]
    except Exception as error:  # whatever it is, it is what health is asked for
        return type(error).__name__
    return "ok"


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Work until cancelled; what a job has begun and not ended is claimed again by the next worker."""
    with contextlib.suppress(OSError):
        os.nice(_YIELDS)
    bound = listen(settings.worker_host, settings.worker_port)
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    registry = CollectorRegistry()
    try:
        async with (
            open_pool(settings.database_url, max_size=max(settings.database_pool, _POOL_LEAST)) as pool,
            open_gateway(settings, redis) as gateway,
            charging(pool, redis, gateway) as checkout,
            serving(about(registry, pool, redis), bound),
        ):
            registry.register(checkout.metrics)
            runner = Runner(jobs(settings, redis, checkout, gateway), registry)
            ready()
            await runner.run()
    finally:
        await redis.aclose()
