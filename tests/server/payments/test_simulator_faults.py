"""Faults on purpose: seeded, settable while it runs, by the secret key only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments.simulator.faults import RATES, FaultPlan, Faults

from .conftest import Provider, Start


def decisions(plan: FaultPlan, calls: int = 200) -> list[Any]:
    faults = Faults(plan)
    return [
        (
            faults.strikes("reply_lost", "/v1/x"),
            faults.strikes("rate_limited", "/v1/x"),
            faults.webhook_delays_s(),
        )
        for _ in range(calls)
    ]


def test_the_same_seed_the_same_faults() -> None:
    plan = FaultPlan(seed=7, reply_lost=0.2, rate_limited=0.05, webhook_drop=0.1, webhook_reorder=0.5)
    assert decisions(plan) == decisions(plan)
    assert decisions(plan) != decisions(FaultPlan.parse({**plan.as_json(), "seed": 8}))


def test_one_fault_does_not_disturb_another() -> None:
    alone = [lost for lost, _, _ in decisions(FaultPlan(seed=7, reply_lost=0.2))]
    together = [
        lost
        for lost, _, _ in decisions(FaultPlan(seed=7, reply_lost=0.2, rate_limited=0.5, webhook_drop=0.5))
    ]
    assert alone == together
    assert 20 <= sum(alone) <= 60


def test_faults_keep_to_their_paths() -> None:
    faults = Faults(FaultPlan(reply_lost=1, only=("/v1/payment_intents",)))
    assert faults.strikes("reply_lost", "/v1/payment_intents/pi_1/cancel")
    assert not faults.strikes("reply_lost", "/v1/refunds")


@given(st.dictionaries(st.sampled_from(RATES), st.floats(0, 1)), st.integers())
def test_a_plan_survives_its_journey_as_json(rates: dict[str, float], seed: int) -> None:
    plan = FaultPlan.parse({**rates, "seed": seed})
    assert FaultPlan.parse(plan.as_json()) == plan


@pytest.mark.parametrize(
    "wish",
    [
        {"earthquake": 1},
        {"reply_lost": 2},
        {"reply_lost": "often"},
        {"reply_lost": True},
        {"latency_s": -1},
        {"down": "maybe"},
        {"once": {"earthquake": 1}},
        {"once": {"reply_lost": -1}},
        {"once": 3},
        {"only": 3},
        [],
        "503",
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(provider: Provider, wish: Any) -> None:
    answer = await provider.admin("/_faults", wish)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_setting"


async def test_faults_are_set_read_and_cleared_while_it_runs(provider: Provider) -> None:
    await provider.faults(down="503")
    assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 503
    health = (await provider.http.get("/healthz")).json()
    assert (health["status"], health["payments"], health["parts"]["faults"]) == ("ok", "demo", "injected")
    assert await provider.audit() == []
    await provider.faults()
    assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 200
    assert (await provider.http.get("/healthz")).json()["parts"]["faults"] == "none"


async def test_faults_need_the_secret_key(provider: Provider) -> None:
    answer = await provider.http.post("/_faults", json={"down": "503"})
    assert answer.status_code == 401
    assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 200


async def test_latency_delays_without_blocking_others(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Semaphore(0)

    def latency_s(self: Faults, path: str) -> float:
        if not path.startswith("/v1/payment_intents"):
            return 0.0
        asked.release()
        return 600.0

    monkeypatch.setattr(Faults, "latency_s", latency_s)
    slow = asyncio.gather(*(provider.gateway.list_for_customer(f"cus_{n}", 0) for n in range(20)))
    async with asyncio.timeout(30):
        for _ in range(20):
            await asked.acquire()
        await provider.customer()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


def test_latency_is_drawn_from_nothing_to_what_was_set() -> None:
    faults = Faults(FaultPlan(latency_s=0.4, only=("/v1/payment_intents",)))
    drawn = [faults.latency_s("/v1/payment_intents/pi_1") for _ in range(100)]
    assert 0 <= min(drawn) < 0.1 < 0.3 < max(drawn) <= 0.4
    assert faults.latency_s("/v1/customers") == 0


async def test_an_answer_does_not_wait_for_an_acknowledgement(provider: Provider) -> None:
    """Which comes 40 ms late, when it meets Nagle's algorithm: each time, however idle the machine."""
    loop, took_s = asyncio.get_running_loop(), 1.0
    async with asyncio.timeout(60):
        while took_s >= 0.03:
            began = loop.time()
            await provider.customer()
            took_s = loop.time() - began


async def test_metrics_count_the_answers(provider: Provider) -> None:
    await provider.customer()
    metrics = await provider.http.get("/metrics")
    assert metrics.headers["content-type"] == "text/plain"
    assert 'hawker_simulator_answers_total{status="200"} 1' in metrics.text


async def test_a_request_that_is_too_large_is_refused(provider: Provider) -> None:
    answer = await provider.http.post(
        "/v1/customers", content=b"name=" + b"x" * 300_000, auth=("sk_test_shop", "")
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_faults_from_the_settings(start: Start) -> None:
    async with start(faults=FaultPlan(once={"rate_limited": 1})) as provider:
        assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 429
        assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 200
