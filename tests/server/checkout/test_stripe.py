"""The same tap through the real stripe client, against the payment simulator and its faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from server.checkout.wiring import checkout
from server.jobs.checkout import checkout_jobs
from server.jobs.runner import Runner
from server.payments.gateway import StripeGateway
from server.payments.outcomes import PaymentError
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings

from .test_crashes import Silent
from .world import World

SECRET, PUBLISHABLE = "sk_test_shop", "pk_test_shop"
LEASE_S = 0.1


class Paying:
    """A shop that charges through the simulator."""

    def __init__(self, world: World, gateway: StripeGateway, http: httpx.AsyncClient) -> None:
        self.world, self.gateway, self.http = world, gateway, http
        self.checkout = checkout(world.pool, world.redis, gateway, lease_s=LEASE_S, action_deadline_s=0.2)
        jobs = checkout_jobs(self.checkout, Silent(), events=gateway)
        self.worker = Runner([job for job in jobs if job.name != "news"], CollectorRegistry())

    async def person(self, card: str) -> Any:
        """A buyer with a card that Stripe knows by this test name."""
        user = await self.world.person(card="")
        customer = (await self.gateway.create_customer(user, "a@example.org", f"c{user}")).id
        await self.world.pool.execute(
            "UPDATE payment_customers SET customer_ref = $2 WHERE user_id = $1", user, customer
        )
        method = (await self._post(f"/v1/payment_methods/{card}/attach", SECRET, customer=customer))["id"]
        await self.world.pool.execute(
            "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)"
            " VALUES (gen_random_uuid(), $1, $2, 'visa', '4242', 12, 2040)",
            user,
            method,
        )
        return user

    async def bank_says(self, outcome: str, view: Any) -> None:
        intent = view.client_secret.split("_secret")[0]
        form = {"client_secret": view.client_secret, "outcome": outcome, "key": PUBLISHABLE}
        await self._post(f"/_3ds/{intent}", PUBLISHABLE, **form)

    async def faults(self, **plan: Any) -> None:
        headers = {"Authorization": f"Bearer {SECRET}"}
        (await self.http.post("/_faults", json=plan, headers=headers)).raise_for_status()

    async def audit(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/v1/_audit", headers={"Authorization": f"Bearer {SECRET}"})
        intents: list[dict[str, Any]] = answer.raise_for_status().json()["payment_intents"]
        return intents

    async def _post(self, path: str, bearer: str, **form: str) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"}
        answer = await self.http.post(path, data=form, headers=headers)
        return answer.raise_for_status().json()

    async def recover(self, seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.world.pool.fetchval(
                "SELECT count(*) FROM orders WHERE state IN ('charging', 'action_needed')"
            ):
                with contextlib.suppress(PaymentError):  # the sweep's; it is the last of the jobs
                    await self.worker.once()
                await asyncio.sleep(0.02)


@pytest.fixture
async def paying(world: World, tmp_path: Path) -> AsyncIterator[Paying]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = SimulatorSettings(SECRET, PUBLISHABLE, tmp_path / "simulator.db")
    program = asyncio.create_task(serve(settings, ready.set_result))
    await asyncio.wait([program, ready], return_when=asyncio.FIRST_COMPLETED)
    url = await ready
    gateway = StripeGateway(SECRET, base_url=url, timeout_s=5)
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        paying = Paying(world, gateway, http)
        charging = asyncio.create_task(paying.checkout.queue.run())
        yield paying
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await gateway.close()
    program.cancel()
    await asyncio.gather(program, return_exceptions=True)


async def test_paid_declined_and_confirmed(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(3)
    good, poor, careful = [
        await paying.person(card)
        for card in ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired")
    ]
    wishes = [world.wish(person, (variant, 1)) for person in (good, poor, careful)]
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    views = [await shop.tap.buy(wish) for wish in wishes]
    assert [view.state for view in views] == ["paid", "declined", "action_needed"]
    assert views[1].code
    assert await world.stock_of(variant) == (1, 1, 1)

    await paying.bank_says("approve", views[2])
    assert (await shop.buyer.authenticated(wishes[2].order_id, careful)).state == "paid"
    assert await world.stock_of(variant) == (1, 0, 2)
    await world.assert_gate_agrees()


async def test_the_bank_says_no_and_the_unit_comes_back(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = world.wish(await paying.person("pm_card_authenticationRequired"), (variant, 1))
    await shop.tap.buy(wish)
    await shop.queue.idle()
    await paying.bank_says("refuse", await shop.tap.buy(wish))
    view = await shop.buyer.authenticated(wish.order_id, wish.user_id)
    assert (view.state, view.code) == ("declined", "payment_intent_authentication_failure")
    assert await world.stock_of(variant) == (1, 0, 0)


async def test_confirming_races_with_calling_off(paying: Paying) -> None:
    """Whoever is first at the provider wins; order, stock and money agree with it."""
    world, shop = paying.world, paying.checkout
    variant = await world.variant(8)
    wishes = [
        world.wish(await paying.person("pm_card_authenticationRequired"), (variant, 1)) for _ in range(8)
    ]
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    views = [await shop.tap.buy(wish) for wish in wishes]
    work = [
        job
        for wish, view in zip(wishes, views, strict=True)
        for job in (paying.bank_says("approve", view), shop.buyer.cancel(wish.order_id, wish.user_id))
    ]
    await asyncio.gather(*work, return_exceptions=True)
    await paying.recover()
    paid = {i["metadata"]["order"] for i in await paying.audit() if i["status"] == "succeeded"}
    states = {wish.order_id: await world.state(wish.order_id) for wish in wishes}
    assert states == {w.order_id: "paid" if w.order_id in paid else "cancelled" for w in wishes}
    assert await world.stock_of(variant) == (8 - len(paid), 0, len(paid))


async def test_nobody_confirms_and_the_unit_comes_back(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = world.wish(await paying.person("pm_card_authenticationRequired"), (variant, 1))
    await shop.tap.buy(wish)
    await shop.queue.idle()
    await asyncio.sleep(0.2)
    await paying.recover()
    assert await world.state(wish.order_id) == "cancelled"
    assert await world.stock_of(variant) == (1, 0, 0)
    assert [intent["status"] for intent in await paying.audit()] == ["canceled"]


async def test_lost_replies_and_refused_turns_charge_once(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(12)
    wishes = [world.wish(await paying.person("pm_card_visa"), (variant, 1)) for _ in range(12)]
    await paying.faults(seed=7, reply_lost=0.4, rate_limited=0.2)
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    await paying.recover()
    await paying.faults(seed=7)
    assert await world.stock_of(variant) == (0, 0, 12)
    paid = [intent for intent in await paying.audit() if intent["status"] == "succeeded"]
    assert sorted(i["metadata"]["order"] for i in paid) == sorted(w.order_id for w in wishes)


async def test_money_goes_back_through_stripe(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = world.wish(await paying.person("pm_card_visa"), (variant, 1))
    await shop.tap.buy(wish)
    await shop.queue.idle()
    await shop.shopkeeper.refund(wish.order_id, 490, "shipping", wish.user_id)
    await shop.shopkeeper.refund(wish.order_id, 1_000, "the rest", wish.user_id)
    await paying.worker.once()
    assert await world.state(wish.order_id) == "refunded"
