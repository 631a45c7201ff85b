"""Carries refunds out, each under a key of its own: however often one is sent, money goes back once.

A key that the provider remembers is safe to send again. What is left are two cases in which another request
could pay a second time: a key so old that the provider may have forgotten it, and a stored 500, after which a
key says nothing any more, whatever was done under it. In both, nothing is sent before it is proven that the
first request did nothing: the provider's list of the payment's refunds doesn't have it, and what the charge
says was given back is exactly the sum of that list. After a stored 500 the proof must hold twice, `proof_s`
apart, since a list may be behind. Where the sums don't add up nothing is sent, and a person is told.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from server.checkout.charge import KEY_TRUSTED_S
from server.checkout.ports import Gateway
from server.checkout.refunds import GONE, RefundBook, seen
from server.jobs.charges import worked_off
from server.payments.outcomes import (
    STORED_ERROR,
    PaymentError,
    RateLimited,
    Refunded,
    RefundOutcome,
    RefundRefused,
    RefundView,
    Unknown,
)
from server.shop.ids import OrderId
from server.shop.patience import again_after_s
from server.shop.refunds import Seen
from server.store.refunds import DueRefund, RefundStore

_LOG = logging.getLogger("hawker.jobs.refunds")
PROOF_S = 60.0
DOUBT_TOLD_S = 3600.0
LONGEST_S = 300.0
_BLIND_TRIES = 2
_UNPROVEN = Unknown("unproven")


class Refunds:
    """`proof_s`: how far apart the two looks are that prove a request to have done nothing."""

    def __init__(
        self,
        store: RefundStore,
        book: RefundBook,
        gateway: Gateway,
        *,
        proof_s: float = PROOF_S,
        limit: int = 32,
    ) -> None:
        self._store, self._book, self._gateway = store, book, gateway
        self._proof_s, self._limit = proof_s, limit

    async def run(self) -> int:
        return await worked_off(self._refund, await self._store.due(self._limit))

    async def _refund(self, due: DueRefund) -> None:
        try:
            outcome = await self._outcome(due)
        except PaymentError as error:
            outcome = Unknown(error.code)
        order_id = OrderId(due.order_id)
        match outcome:
            case None:
                await self._store.spent(due)
            case Refunded():
                gone = outcome.status in GONE
                found = Seen(outcome.refund, due.id, outcome.amount_minor, gone)
                await self._book.enter(order_id, due.payment_intent_ref, found)
            case RefundRefused():
                await self._book.refused(order_id, due.id, outcome.code, outcome.message)
            case RateLimited():
                await self._store.put_off(due.id, max(outcome.retry_after_s, 0.2), failed=False)
            case Unknown() if outcome == _UNPROVEN:
                await self._store.put_off(due.id, self._proof_s, failed=False)
            case _:
                await self._store.put_off(due.id, again_after_s(due.tries, LONGEST_S))

    async def _outcome(self, due: DueRefund) -> RefundOutcome | None:
        """None: nothing went back, and under this key nothing ever will."""
        forgotten = due.age_s > KEY_TRUSTED_S
        if forgotten or due.tries > _BLIND_TRIES:
            views = await self._gateway.list_refunds(due.payment_intent_ref)
            if found := _its(due, views):
                return found
            if forgotten and not await self._adds_up(due, views):
                return _UNPROVEN
        outcome = await self._gateway.refund(
            due.payment_intent_ref, due.amount_minor, due.idempotency_key, refund_id=due.id
        )
        return await self._after_all(due) if outcome == Unknown(STORED_ERROR) else outcome

    async def _after_all(self, due: DueRefund) -> RefundOutcome | None:
        """What the request did that ended in a stored 500; None: nothing, and that is proven."""
        views = await self._gateway.list_refunds(due.payment_intent_ref)
        if found := _its(due, views):
            return found
        if not await self._adds_up(due, views):
            return _UNPROVEN
        return None if await self._store.unseen(due) >= self._proof_s else _UNPROVEN

    async def _adds_up(self, due: DueRefund, views: Sequence[RefundView]) -> bool:
        """Whether the list accounts for all that the charge says was given back. Asked after the list: what
        happens in between makes the sums differ."""
        payment = await self._gateway.retrieve(due.payment_intent_ref)
        listed_minor = sum(view.amount_minor for view in views if not seen(view).gone)
        if payment.amount_refunded_minor == listed_minor:
            return True
        doubted_s = await self._store.doubted(due)
        if doubted_s >= DOUBT_TOLD_S and await self._store.told(due, "refund_unsure"):
            about = {"refund": due.id, "order_id": due.order_id, "listed_minor": listed_minor}
            _LOG.critical("refund_unsure", extra=about | {"given_minor": payment.amount_refunded_minor})
        return False


def _its(due: DueRefund, views: Sequence[RefundView]) -> Refunded | None:
    """This refund, among those of its payment."""
    for view in views:
        if view.refund_id == due.id:
            return Refunded(view.id, view.amount_minor, view.status)
    return None
