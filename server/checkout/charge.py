"""Charging: one attempt, one idempotency key, as often as it takes.

An inconclusive answer leaves the order as it is. The same key is sent again, and after the second time, or
where Stripe may have forgotten the key, the customer's payments are looked through first. Where Stripe
repeats a stored 500, the key has had its say: they are looked through after that, and if nothing was done,
just that is written down, with the next attempt and its key. Never a fresh key without such a record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from overlay.tasks import together
from server.checkout.metrics import Counts, Uncounted
from server.checkout.ports import Gateway, Leases, Orders
from server.checkout.settle import Settler, answer_of, attempt_of
from server.payments.outcomes import (
    STORED_ERROR,
    ActionNeeded,
    Authorized,
    Cancelled,
    ChargeOutcome,
    Declined,
    NotCancellable,
    Paid,
    PaymentError,
    PaymentView,
    ProviderUnavailable,
    RateLimited,
    Unknown,
    outcome_of,
)
from server.shop.ids import OrderId
from server.shop.patience import again_after_s
from server.shop.record import AttemptRecord, OrderRecord
from server.shop.settlement import AttemptState

_LOG = logging.getLogger("hawker.checkout.charge")
_CHARGEABLE = frozenset({AttemptState.READY, AttemptState.LEASED, AttemptState.UNKNOWN})
_UNCONFIRMED = Unknown("unconfirmed")
_OUTCOMES = {
    Paid: "paid",
    Authorized: "authorized",
    Declined: "declined",
    ActionNeeded: "action_needed",
    Unknown: "unknown",
    RateLimited: "rate_limited",
}
KEY_TRUSTED_S = 20 * 3600.0  # Stripe may forget a key after 24 h
_LOOK_FIRST_TRIES = 2
_CLOCKS_DIFFER_S = 86_400.0  # ours may be wrong; a payment that is missed would be made again
_LOOK_EVERY_S, _LATE_S = 0.05, 0.03


class Charger:
    def __init__(
        self,
        orders: Orders,
        leases: Leases,
        gateway: Gateway,
        settler: Settler,
        *,
        wall_clock: Callable[[], float] = time.time,
        counts: Counts | None = None,
    ) -> None:
        self._orders, self._leases, self._gateway, self._settler = orders, leases, gateway, settler
        self._wall_clock, self._counts = wall_clock, counts or Uncounted()

    async def charge(self, order_id: OrderId, attempt: int) -> None:
        """Charge an attempt whose lease the caller has, and settle. Raises nothing of the provider's."""
        following: int | None = attempt
        while following is not None:  # bounded by changes.MOST_PROVIDER_ERRORS
            following = await self._charge(order_id, following)

    async def _charge(self, order_id: OrderId, attempt: int) -> int | None:
        """The attempt that comes instead of one that came to nothing."""
        order = await self._orders.get(order_id)
        record = order.attempt(attempt) if order else None
        if order is None or record is None or record.state not in _CHARGEABLE:
            return None
        outcome = await self._outcome(order, record)
        if outcome is None:
            _LOG.warning("charge_came_to_nothing", extra={"order_id": order_id, "attempt": attempt})
            return await self._settler.spent(order_id, attempt)
        self._counts.charge(_OUTCOMES[type(outcome)])
        answer = answer_of(outcome)
        if answer is not None:
            await self._settler.settle(order_id, attempt, answer)
        else:
            tried = not isinstance(outcome, RateLimited)
            await self._leases.put_off(order_id, attempt, _delay_s(record, outcome), tried=tried)
            _LOG.info("charge_undecided", extra={"order_id": order_id, "outcome": type(outcome).__name__})
        return None

    async def _outcome(self, order: OrderRecord, record: AttemptRecord) -> ChargeOutcome | None:
        """None: nothing was taken, and under this attempt's key nothing ever will be."""
        if record.amount_minor == 0:  # a gift: the provider takes no empty payments
            return Paid(f"free:{order.id}", 0)
        try:
            if record.tries >= _LOOK_FIRST_TRIES or record.age_s > KEY_TRUSTED_S:
                found = await self._look_up(order, record)
                if found is not None and (known := outcome_of(found)) != _UNCONFIRMED:
                    return known
            outcome = await self._send(order, record)
            return await self._after_all(order, record) if outcome == Unknown(STORED_ERROR) else outcome
        except PaymentError as error:
            return Unknown(error.code)

    async def _send(self, order: OrderRecord, record: AttemptRecord) -> ChargeOutcome:
        return await self._gateway.charge(
            order_id=order.id,
            amount_minor=record.amount_minor,
            currency=order.currency,
            customer=record.customer_ref,
            payment_method=record.payment_method_ref,
            idempotency_key=record.idempotency_key,
            off_session=record.off_session,
            metadata={"attempt": str(record.attempt)},
        )

    async def _after_all(self, order: OrderRecord, record: AttemptRecord) -> ChargeOutcome | None:
        """What the request did that ended in a stored 500. A payment that it left unconfirmed is ended."""
        found = await self._look_up(order, record)
        if found is None or found.status == "canceled":
            return None
        outcome = outcome_of(found)
        if outcome != _UNCONFIRMED:
            return outcome
        match await self._gateway.cancel(found.id):
            case Cancelled():
                return None
            case NotCancellable():
                return outcome_of(await self._gateway.retrieve(found.id))
            case undecided:
                return undecided

    async def _look_up(self, order: OrderRecord, record: AttemptRecord) -> PaymentView | None:
        """The attempt's payment, among the customer's. None: it never reached the provider."""
        since = self._wall_clock() - record.age_s - _CLOCKS_DIFFER_S
        views = await self._gateway.list_for_customer(record.customer_ref, since)
        for view in views.payments:
            if view.order_id == order.id and attempt_of(view) == record.attempt:
                return view
        if not views.complete:
            raise ProviderUnavailable(
                "too_many_payments", "the customer has more payments than are looked at"
            )
        return None


def _delay_s(record: AttemptRecord, outcome: ChargeOutcome) -> float:
    if isinstance(outcome, RateLimited):
        return max(outcome.retry_after_s, 0.2)
    return again_after_s(record.tries, 60.0)


class ChargeQueue:
    """Charges orders that were just placed, a bounded number at a time.

    What it can't take, or doesn't get to, is left to the worker, which picks it up when the lease runs out.
    While the loop runs late a crowd is being answered: charges then wait for it, `patience_s` at most. The
    provider lets only so many through a second, so little is lost, and nobody waits for an answer meanwhile.
    """

    def __init__(
        self,
        charger: Charger,
        leases: Leases,
        *,
        lease_s: float = 10.0,
        at_once: int = 32,
        waiting: int = 2_000,
        patience_s: float = 3.0,
    ) -> None:
        self._charger, self._leases, self._lease_s, self._at_once = charger, leases, lease_s, at_once
        self._patience_s = patience_s
        self._late_s = 0.0
        self._queue: asyncio.Queue[tuple[OrderId, int, float]] = asyncio.Queue(waiting)
        self.left_to_worker = 0

    def put(self, order_id: OrderId, attempt: int) -> bool:
        """Queue an attempt that this process has just been leased. False: left to the worker."""
        try:
            self._queue.put_nowait((order_id, attempt, time.monotonic()))
        except asyncio.QueueFull:
            self.left_to_worker += 1
            return False
        return True

    async def run(self) -> None:
        """Charge until cancelled."""
        await together(self._watch_loop(), *(self._work() for _ in range(self._at_once)))

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self._late_s = loop.time() - due_s

    async def _crowd_answered(self, since: float) -> None:
        while self._late_s > _LATE_S and time.monotonic() - since < self._patience_s:
            await asyncio.sleep(_LOOK_EVERY_S)

    async def idle(self) -> None:
        """Until everything queued has been tried once."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            order_id, attempt, since = await self._queue.get()
            try:
                await self._crowd_answered(since)
                if await self._still_leased(order_id, attempt, since):
                    await self._charger.charge(order_id, attempt)
            except Exception:
                _LOG.exception("charge_failed", extra={"order_id": order_id})
            finally:
                self._queue.task_done()

    async def _still_leased(self, order_id: OrderId, attempt: int, since: float) -> bool:
        if time.monotonic() - since < self._lease_s / 3:
            return True
        return await self._leases.renew(order_id, attempt)
