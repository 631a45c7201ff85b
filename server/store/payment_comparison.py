"""Our side of the comparison with the payment provider."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from server.shop.comparison import Ours
from server.shop.ids import canonical
from server.shop.orders import OrderState
from server.store.database import Database
from server.store.pool import Pool

_OURS = """
SELECT t.ref, o.state, o.currency, p.amount_minor AS charged,
  coalesce((SELECT sum(r.amount_minor) FROM refunds r
            WHERE r.payment_intent_ref = t.ref AND r.state = 'done'), 0)::bigint AS refunded,
  coalesce((SELECT sum(r.amount_minor) FROM refunds r
            WHERE r.payment_intent_ref = t.ref AND r.state IN ('queued', 'done')), 0)::bigint AS promised
FROM unnest($1::text[], $2::uuid[]) AS t (ref, order_id) JOIN orders o ON o.id = t.order_id
LEFT JOIN payments p ON p.payment_intent_ref = t.ref AND p.kind = 'charge' AND p.order_id = o.id
"""

# Gifts (`free:`) were never the provider's.
_CHARGES = """
SELECT id, payment_intent_ref, amount_minor FROM payments
WHERE kind = 'charge' AND at >= $1 AND at < $2 AND id > $3 AND payment_intent_ref NOT LIKE 'free:%'
ORDER BY id LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Charge:
    id: int
    payment_intent_ref: str
    amount_minor: int


class ComparisonStore:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def ours(self, payments: Collection[tuple[str, str | None]]) -> dict[str, Ours]:
        """What is known of (payment intent, order id) pairs; those of no order are left out."""
        known = [(ref, canonical(order or "")) for ref, order in payments]
        pairs = [(ref, order) for ref, order in known if order is not None]
        rows = await self._database.fetch(_OURS, [ref for ref, _ in pairs], [order for _, order in pairs])
        return {
            row["ref"]: Ours(
                OrderState(row["state"]), row["currency"], row["charged"], row["refunded"], row["promised"]
            )
            for row in rows
        }

    async def charges(self, since: datetime, until: datetime, after: int, limit: int) -> list[Charge]:
        """Charges of the ledger from that time, a page at a time."""
        return [
            Charge(*row.values()) for row in await self._database.fetch(_CHARGES, since, until, after, limit)
        ]
