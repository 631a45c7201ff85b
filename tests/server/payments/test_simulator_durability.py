"""The simulator as a program: killed without warning, started again, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from server.payments.gateway import StripeGateway
from server.payments.outcomes import Paid, Unknown
from server.payments.simulator.app import PortInUse
from server.payments.simulator.ledger import Ledger, StateUnusable
from server.payments.simulator.settings import SimulatorSettings

from .conftest import SECRET, Start, running

PROGRAM = """
import asyncio, pathlib, sys
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings
settings = SimulatorSettings("sk_test_shop", "pk_test_shop", pathlib.Path(sys.argv[1]), port=int(sys.argv[2]))
def ready(url):
    heavy = {"stripe", "sqlalchemy", "asyncpg", "PIL", "aiohttp", "starlette", "redis"} & set(sys.modules)
    print(url, ",".join(sorted(heavy)), flush=True)
asyncio.run(serve(settings, ready))
"""


@contextlib.asynccontextmanager
async def child(state: Path, port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(state), str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            url, _, heavy = (await process.stdout.readline()).decode().strip().partition(" ")
        yield process, url, heavy
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def audit(url: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        answer = await http.get("/v1/_audit", headers={"Authorization": f"Bearer {SECRET}"})
        intents: list[dict[str, Any]] = answer.json()["payment_intents"]
        return intents


def charge(gateway: StripeGateway, customer: str, number: int) -> Any:
    return gateway.charge(
        order_id=f"o{number}",
        amount_minor=1000 + number,
        currency="eur",
        customer=customer,
        payment_method="pm_card_visa",
        idempotency_key=f"o{number}:1",
    )


async def test_killed_under_load_every_order_is_charged_exactly_once(tmp_path: Path) -> None:
    state, orders = tmp_path / "simulator.db", 120
    async with child(state) as (process, url, heavy):
        assert heavy == ""
        gateway = StripeGateway(SECRET, base_url=url, timeout_s=120)
        customer = (await gateway.create_customer("u", "a@example.org", "c")).id
        calls = [asyncio.create_task(charge(gateway, customer, number)) for number in range(orders)]
        async with asyncio.timeout(120):
            while sum(call.done() for call in calls) < orders // 3:
                await asyncio.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        before = await asyncio.gather(*calls)
        await gateway.close()
    acknowledged = [outcome for outcome in before if isinstance(outcome, Paid)]
    assert len(acknowledged) >= orders // 3
    assert {outcome for outcome in before if not isinstance(outcome, Paid)} <= {Unknown("connection_lost")}

    async with child(state, int(url.rsplit(":", 1)[1])) as (process, url, _):
        kept = {intent["id"] for intent in await audit(url)}
        assert {outcome.payment_intent for outcome in acknowledged} <= kept
        gateway = StripeGateway(SECRET, base_url=url, timeout_s=120)
        after = await asyncio.gather(*(charge(gateway, customer, number) for number in range(orders)))
        await gateway.close()
        intents = await audit(url)
        process.terminate()
        assert await process.wait() == 0
    for first, second in zip(before, after, strict=True):
        assert isinstance(second, Paid)
        assert first in (second, Unknown("connection_lost"))
    assert sorted(intent["metadata"]["order"] for intent in intents) == sorted(f"o{n}" for n in range(orders))
    assert all(len(intent["charges"]) == 1 for intent in intents)


async def test_stopped_and_started_it_knows_everything(start: Start) -> None:
    async with start() as provider:
        customer = await provider.customer()
        card = await provider.saved_card(customer)
        await provider.admin("/_clock", {"advance_s": 5_000})
    async with start() as provider:
        assert await provider.cards(customer) == [card]
        moved = await provider.http.get("/_clock", headers={"Authorization": f"Bearer {SECRET}"})
        assert moved.json()["ahead_s"] == 5_000


async def test_two_simulators_never_share_a_state(start: Start, settings: SimulatorSettings) -> None:
    async with start():
        with pytest.raises(StateUnusable) as refused:
            async with running(settings):
                pass
    assert refused.value.code == "state_in_use"


async def test_a_taken_port_is_named(start: Start) -> None:
    async with start() as provider:
        port = int(provider.url.rsplit(":", 1)[1])
        with pytest.raises(PortInUse, match=str(port)):
            async with start(port=port):
                pass


def test_a_file_that_is_no_state_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    with pytest.raises(StateUnusable) as refused:
        Ledger(path)
    assert refused.value.code == "state_unreadable"
    assert path.read_text().startswith("not a database")


async def test_a_disk_that_takes_no_more_is_an_answer_not_a_crash(start: Start, monkeypatch: Any) -> None:
    async with start() as provider:
        import sqlite3

        def full(self: Ledger, obj: Any) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "put", full)
            with pytest.raises(stripe.APIError) as failed:
                await provider.api.v1.customers.create_async({}, {"idempotency_key": "k"})
        assert failed.value.http_status == 503
        assert (await provider.api.v1.customers.create_async({}, {"idempotency_key": "k"})).id.startswith(
            "cus_"
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_key": "sk_live_x"},
        {"publishable_key": "pk_live_x"},
        {"webhook_url": "http://127.0.0.1/"},
        {"webhook_url": "file:///etc/passwd", "webhook_secret": "whsec_x"},
    ],
)
def test_settings_that_must_not_be(tmp_path: Path, changes: dict[str, str]) -> None:
    good: dict[str, Any] = {
        "secret_key": SECRET,
        "publishable_key": "pk_test_x",
        "state_path": tmp_path / "s",
    }
    with pytest.raises(ValueError):
        SimulatorSettings(**{**good, **changes})
