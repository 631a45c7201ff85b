"""Events whose webhook never came, from the provider's own list. They go through the same inbox, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from server.payments.webhooks import Event
from server.store.book_checks import JobMarks
from server.store.payments import PaymentStore

_SWEPT = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "charge.refunded",
    "refund.failed",
    "refund.updated",
)
FIRST_S = 3 * 86_400.0  # as far as resends reach
KEPT_S = 30 * 86_400.0  # by Stripe
SLICE_S = 6 * 3_600.0  # what was missed in weeks comes in pieces
CLOCKS_APART_S = 3_600.0


class EventSource(Protocol):
    def events_between(
        self, created_after: float, created_before: float | None = None, types: Iterable[str] = ()
    ) -> AsyncIterator[Event]: ...


class EventSweep:
    """Where it got to is kept in PostgreSQL: after a week without a worker, a week is swept.

    That is the newest event's time, by the provider's clock: where ours is ahead, nothing is passed over.
    """

    def __init__(
        self,
        store: PaymentStore,
        marks: JobMarks,
        source: EventSource,
        wall_clock: Callable[[], float],
        *,
        back_s: float = 900.0,
    ) -> None:
        self._store, self._marks, self._source = store, marks, source
        self._wall_clock, self._back_s = wall_clock, back_s

    async def run(self) -> int:
        """How many events of the next slice were new."""
        now = self._wall_clock()
        swept = (await self._marks.last("sweep")).timestamp()
        since = max(swept - self._back_s, now - KEPT_S) if swept else now - FIRST_S
        until = since + SLICE_S
        last = until >= now - CLOCKS_APART_S
        reached, new = (swept or since) if last else until, 0
        async for event in self._source.events_between(since, None if last else until + 1, _SWEPT):
            new += await self._store.receive_webhook(event.id, event.type, _payload(event))
            reached = max(reached, min(event.created, now + CLOCKS_APART_S))
        await self._marks.note("sweep", datetime.fromtimestamp(reached, UTC))
        return new if last else max(new, 1)


def _payload(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "created": event.created,
        "livemode": event.livemode,
        "data": {"object": event.object},
    }
