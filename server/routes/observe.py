"""What operators see of the web role: an id on every request, one log line and one measurement of each.

Queries and headers are never logged: passes and tickets travel in them.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import structlog
import uuid_utils
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger("hawker.web")
_GIVEN_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_QUIET = frozenset({"/healthz", "/metrics"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class WebMetrics:
    requests: Counter
    seconds: Histogram

    @classmethod
    def on(cls, registry: CollectorRegistry) -> WebMetrics:
        labels = ("method", "route")
        return cls(
            Counter("hawker_http_requests", "Requests by status", (*labels, "status"), registry=registry),
            Histogram(
                "hawker_http_request_seconds",
                "Time to the end of the response",
                labels,
                registry=registry,
                buckets=_BUCKETS,
            ),
        )


class Observed:
    """Outermost: gives ids, measures and logs."""

    def __init__(self, app: ASGIApp, metrics: WebMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _GIVEN_ID.match(given) else uuid_utils.uuid7().hex
        status, began = 500, time.perf_counter()

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, numbered)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("hawker.route", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        if scope["path"] in _QUIET or route == "file":
            return
        _log.info(
            "request",
            method=method,
            path=scope["path"][:200],
            status=status,
            code=scope.get("hawker.code"),
            ms=round(seconds * 1000, 1),
        )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
