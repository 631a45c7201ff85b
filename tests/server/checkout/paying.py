"""A shop that charges through the real stripe client, against the payment simulator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from server.checkout.wiring import checkout
from server.jobs.checkout import checkout_jobs
from server.jobs.refunds import Refunds
from server.jobs.runner import Runner
from server.payments.gateway import StripeGateway
from server.payments.outcomes import PaymentError
from server.payments.simulator.app import serve
from server.payments.simulator.settings import SimulatorSettings
from server.store.book_checks import JobMarks

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
        await self.another_card(user, card)
        return user

    async def another_card(self, user: str, card: str) -> str:
        """One more saved card; its id."""
        customer = await self.world.pool.fetchval(
            "SELECT customer_ref FROM payment_customers WHERE user_id = $1", user
        )
        method = (await self._post(f"/v1/payment_methods/{card}/attach", SECRET, customer=customer))["id"]
        card_id: str = await self.world.pool.fetchval(
            "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)"
            " VALUES (gen_random_uuid(), $1, $2, 'visa', '4242', 12, 2040) RETURNING id::text",
            user,
            method,
        )
        return card_id

    async def bought(self, card: str, variant: str = "") -> Any:
        """The wish of somebody with such a card who tapped, and has a first answer."""
        wish = self.world.wish(await self.person(card), (variant or await self.world.variant(1), 1))
        await self.checkout.tap.buy(wish)
        await self.checkout.queue.idle()
        return wish

    async def bank_says(self, outcome: str, view: Any) -> None:
        intent = view.client_secret.split("_secret")[0]
        form = {"client_secret": view.client_secret, "outcome": outcome, "key": PUBLISHABLE}
        await self._post(f"/_3ds/{intent}", PUBLISHABLE, **form)

    async def confirm_in_page(self, view: Any, card: str) -> None:
        """What a page with the client secret can do: pay with a card of its own choice."""
        intent = view.client_secret.split("_secret")[0]
        form = {"client_secret": view.client_secret, "payment_method": card}
        await self._post(f"/v1/payment_intents/{intent}/confirm", PUBLISHABLE, **form)

    async def faults(self, **plan: Any) -> None:
        headers = {"Authorization": f"Bearer {SECRET}"}
        (await self.http.post("/_faults", json=plan, headers=headers)).raise_for_status()

    async def dashboard_refund(self, intent: str, amount: int) -> str:
        """Somebody gives money back in the provider's dashboard; the refund's id."""
        form = {"payment_intent": intent, "amount": str(amount)}
        return str((await self._post("/_dashboard/refunds", SECRET, **form))["id"])

    async def bank_returns(self, refund: str) -> None:
        await self._post("/_bank/returns", SECRET, refund=refund)

    async def news(self) -> None:
        """What happened at the provider lately is known, by way of its events."""
        await JobMarks(self.world.pool).note("sweep", datetime.now(UTC) - timedelta(minutes=1))
        for _ in range(2):
            await self.worker.once()

    async def refunds_due(self, times: int = 1, *, proof_s: float = 0.0) -> None:
        """Refunds that wait are due at once."""
        shop = self.checkout
        for _ in range(times):
            await self.world.pool.execute("UPDATE refunds SET due_at = now() - interval '1 s'")
            await Refunds(shop.refunds, shop.refund_book, self.gateway, proof_s=proof_s).run()

    async def audit(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/v1/_audit", headers={"Authorization": f"Bearer {SECRET}"})
        intents: list[dict[str, Any]] = answer.raise_for_status().json()["payment_intents"]
        return intents

    async def _post(self, path: str, bearer: str, **form: str) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"}
        answer = await self.http.post(path, data=form, headers=headers)
        return answer.raise_for_status().json()

    async def recover(self, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.world.pool.fetchval(
                "SELECT count(*) FROM orders WHERE state IN ('charging', 'action_needed')"
            ):
                with contextlib.suppress(PaymentError):  # the sweep's; it is the last of the jobs
                    await self.worker.once()
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_paying(world: World, tmp_path: Path) -> AsyncIterator[Paying]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = SimulatorSettings(SECRET, PUBLISHABLE, tmp_path / "simulator.db")
    program = asyncio.create_task(serve(settings, ready.set_result))
    await asyncio.wait([program, ready], return_when=asyncio.FIRST_COMPLETED)
    url = await ready
    gateway = StripeGateway(SECRET, base_url=url, timeout_s=30)
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        paying = Paying(world, gateway, http)
        charging = asyncio.create_task(paying.checkout.queue.run())
        yield paying
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await gateway.close()
    program.cancel()
    await asyncio.gather(program, return_exceptions=True)
