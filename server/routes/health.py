"""Is it well, part by part; and the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
from prometheus_client import generate_latest
from starlette.responses import Response

from server.problems import Problem
from server.routes.operation import Call, Operation
from server.routes.schemas import View
from server.store.pool import transaction

_DEADLINE_S = 2.0


class Part(View, frozen=True):
    """`state` is ok or down; `detail` says what of it."""

    state: str
    detail: str


class Health(View, frozen=True):
    """`status` is ok when every store answers; without a media node shows still sell."""

    status: str
    parts: dict[str, Part]


async def health(call: Call) -> Response:
    postgres, redis, media = await asyncio.gather(
        _part(_postgres(call)), _part(_redis(call)), _part(_media(call))
    )
    well = postgres.state == redis.state == "ok"
    found = Health(
        "ok" if well else "down",
        {"web": Part("ok", "serving"), "postgres": postgres, "redis": redis, "media": media},
    )
    return Response(
        msgspec.json.encode(found),
        200 if well else 503,
        {"cache-control": "no-store"},
        "application/json",
    )


async def _part(look: Awaitable[str]) -> Part:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return Part("ok", await look)
    except Exception as error:  # whatever it is, it is what health is asked for
        return Part("down", type(error).__name__)


async def _postgres(call: Call) -> str:
    async with transaction(call.deps.pool) as db:
        return "PostgreSQL " + str(await db.fetchval("SHOW server_version"))


async def _redis(call: Call) -> str:
    await call.deps.redis.ping()
    return "answers"


async def _media(call: Call) -> str:
    nodes = await call.deps.nodes.nodes()
    if not nodes:
        raise LookupError("no node")
    return ", ".join(
        f"{node.id}: {'draining' if node.is_draining else f'{node.viewers} viewers'}"
        for node in sorted(nodes, key=lambda node: node.id)
    )


async def metrics(call: Call) -> Response:
    """For a scraper that reaches this process itself: a request that came through a proxy gets nothing."""
    if {"x-forwarded-for", "forwarded"} & set(call.request.headers.keys()):
        raise Problem("not_found")
    return Response(generate_latest(call.deps.metrics), media_type="text/plain; version=0.0.4; charset=utf-8")


OPERATIONS = (
    Operation("GET", "/healthz", health, "Health by part", returns=Health),
    Operation("GET", "/metrics", metrics, "Prometheus metrics", media_type="text/plain"),
)
