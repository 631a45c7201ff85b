"""What the worker shows of the books on its `/metrics` and `/healthz`."""

from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

from overlay.log import open_redis
from server.app.worker import about
from server.shop.chain import Fault
from server.store.book_checks import BookChecks
from server.store.pool import open_pool


async def test_what_the_daily_checks_found_is_a_metric(migrated_database_url: str, redis_url: str) -> None:
    async with open_pool(migrated_database_url) as pool, open_redis(redis_url) as redis:
        app = httpx.ASGITransport(about(CollectorRegistry(), pool, redis))
        async with httpx.AsyncClient(transport=app, base_url="http://worker") as worker:
            assert "hawker_books_findings{" not in (await worker.get("/metrics")).text
            checks = BookChecks(pool)
            await checks.keep("books", [], 7, 0.1)
            await checks.keep("provider", [*(Fault("payments", n, "an order", "none") for n in "34")], 2, 0.1)
            shown = (await worker.get("/metrics")).text
            assert 'hawker_books_findings{kind="books"} 0.0' in shown
            assert 'hawker_books_findings{kind="provider"} 2.0' in shown
            assert 'hawker_books_checked_seconds{kind="books"} 1' in shown
            parts = (await worker.get("/healthz")).json()["parts"]
            assert parts["books"].startswith("ok")
            await checks.keep("provider", [], 2, 0.1)
            assert 'hawker_books_findings{kind="provider"} 0.0' in (await worker.get("/metrics")).text
