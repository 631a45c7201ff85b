"""Once a day every payment is compared with the provider's own list, both ways.

What is only late is mended as its news would have done: settled, its refunds written down, or ended where
nobody waits for it any more.
What can't be explained is written down and said loudly; nothing is ever paid back on a guess.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from server.payments.outcomes import CancelOutcome, PaymentView, ProviderRefused
from server.shop.chain import Fault
from server.shop.comparison import Difference, Remedy, Theirs, difference, missing
from server.shop.ids import canonical
from server.store.book_checks import BookChecks, JobMarks
from server.store.payment_comparison import ComparisonStore

_LOG = logging.getLogger("hawker.jobs.provider_audit")
DAY_S = 24 * 3600.0
OVERLAP = timedelta(days=3)  # an intent may be paid days after it was made
FIRST = timedelta(days=30)
UNDER_WAY_S = 900.0  # younger payments may still be on their way through
MOST_FINDINGS = 1_000
_PAGE = 100


class PaymentSource(Protocol):
    """payments.gateway.StripeGateway, as far as the comparison uses it."""

    def payments_between(self, created_after: float, created_before: float) -> AsyncIterator[PaymentView]: ...

    async def retrieve(self, payment_intent: str) -> PaymentView: ...

    async def cancel(self, payment_intent: str) -> CancelOutcome: ...


@dataclass(slots=True)
class _Run:
    since: datetime
    until: datetime
    seen: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    mended: int = 0


class ProviderAudit:
    """`settle` is checkout.settle.Settler.payment, `look_at_refunds` checkout.refunds.RefundBook.look."""

    def __init__(
        self,
        store: ComparisonStore,
        checks: BookChecks,
        marks: JobMarks,
        source: PaymentSource,
        settle: Callable[[PaymentView], Awaitable[bool]],
        look_at_refunds: Callable[[str], Awaitable[int]],
        wall_clock: Callable[[], float],
        *,
        every_s: float = DAY_S,
        under_way_s: float = UNDER_WAY_S,
    ) -> None:
        self._store, self._checks, self._marks, self._source = store, checks, marks, source
        self._settle, self._look_at_refunds, self._wall_clock = settle, look_at_refunds, wall_clock
        self._every_s, self._under_way_s = every_s, under_way_s

    async def run(self) -> int:
        """How many payments were compared; 0 where it is not due. A failed run comes again."""
        async with self._marks.due("provider_audit", self._every_s) as last:
            return await self._compared(last) if last is not None else 0

    async def _compared(self, last: datetime) -> int:
        began = self._wall_clock()
        now = datetime.fromtimestamp(began, UTC)
        run = _Run(max(last - OVERLAP, now - FIRST), now - timedelta(seconds=self._under_way_s))
        await self._theirs(run)
        await self._ours(run)
        await self._checks.keep("provider", run.faults, len(run.seen), self._wall_clock() - began)
        _LOG.info("provider_compared", extra={"payments": len(run.seen), "mended": run.mended})
        return len(run.seen)

    async def _theirs(self, run: _Run) -> None:
        """From the provider's list to our orders."""
        page: list[PaymentView] = []
        async for payment in self._source.payments_between(run.since.timestamp(), run.until.timestamp()):
            page.append(payment)
            if len(page) == _PAGE:
                await self._compare(run, page)
                page = []
        await self._compare(run, page)

    async def _ours(self, run: _Run) -> None:
        """From our ledger to the provider's list."""
        after = 0
        while charges := await self._store.charges(run.since, run.until, after, _PAGE):
            after = charges[-1].id
            for charge in charges:
                if charge.payment_intent_ref in run.seen:
                    continue
                try:
                    await self._compare(run, [await self._source.retrieve(charge.payment_intent_ref)])
                except ProviderRefused:
                    self._found(run, missing(charge.payment_intent_ref, charge.amount_minor))

    async def _compare(self, run: _Run, payments: list[PaymentView]) -> None:
        known = await self._store.ours([(payment.id, payment.order_id) for payment in payments])
        for payment in payments:
            run.seen.add(payment.id)
            found = difference(_theirs(payment), known.get(payment.id))
            if found and not await self._mended(payment, found):
                self._found(run, found)
            elif found:
                run.mended += 1

    async def _mended(self, payment: PaymentView, found: Difference) -> bool:
        match found.remedy:
            case Remedy.SETTLE:
                await self._settle(payment)
                await self._look_at_refunds(payment.id)
            case Remedy.REFUNDS:
                await self._look_at_refunds(payment.id)
            case Remedy.CANCEL:
                await self._source.cancel(payment.id)
            case None:
                return False
        now = await self._source.retrieve(payment.id)
        known = await self._store.ours([(now.id, now.order_id)])
        mended = difference(_theirs(now), known.get(now.id)) is None
        level = logging.INFO if found.remedy is Remedy.CANCEL and mended else logging.WARNING
        _LOG.log(
            level, "payment_mended" if mended else "payment_not_mended", extra={"fault": str(found.fault)}
        )
        return mended

    def _found(self, run: _Run, found: Difference) -> None:
        _LOG.critical("payment_unexplained", extra={"fault": str(found.fault)})
        run.faults.extend(islice([found.fault], MOST_FINDINGS - len(run.faults)))


def _theirs(payment: PaymentView) -> Theirs:
    return Theirs(
        payment.id,
        canonical(payment.order_id or ""),  # others may name their orders in the same place
        payment.status,
        payment.amount_received_minor,
        payment.amount_refunded_minor,
        payment.currency,
    )
