"""Orders that are there: read whole, and changed under their row lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from server.checkout.ports import StockShort
from server.shop.flash import SECOND_CARD_GRACE_S
from server.shop.ids import OrderId
from server.shop.record import AttemptChange, Change, NewAttempt, OrderRecord
from server.shop.refunds import Seen
from server.shop.settlement import AttemptState
from server.shop.stock import DELTAS, Movement
from server.store import refunds
from server.store.database import Database
from server.store.placing import LOCK_STOCK, idempotency_key
from server.store.pool import Connection, Pool
from server.store.sql import statement

_READ = statement("order_read")
_MOVE = statement("stock_move")

_UPDATE = """
UPDATE orders SET
  state = coalesce($2, state),
  payment_intent_ref = coalesce($3, payment_intent_ref),
  failure_code = CASE WHEN $2 IS NULL THEN failure_code ELSE $4 END,
  failure_message = CASE WHEN $2 IS NULL THEN failure_message ELSE $5 END,
  action_deadline = CASE WHEN $2 IS NULL THEN action_deadline ELSE now() + make_interval(secs => $6) END,
  refunded_minor = coalesce($7, refunded_minor),
  card_id = coalesce($8, card_id),
  owed_minor = coalesce($9, owed_minor),
  repaid_minor = coalesce($10, repaid_minor),
  settled_at = CASE WHEN $2 IN ('paid', 'declined', 'cancelled') THEN now()
                    WHEN $2 = 'charging' THEN NULL ELSE settled_at END,
  fulfilled_at = CASE WHEN $2 = 'fulfilled' THEN now() ELSE fulfilled_at END
WHERE id = $1
"""

_ATTEMPT = """
UPDATE payment_attempts SET state = $3, payment_intent_ref = coalesce($4, payment_intent_ref),
  client_secret = $5, failure_code = $6, lease_owner = NULL, lease_until = NULL,
  settled_at = CASE WHEN $3 IN ('paid', 'declined', 'cancelled') THEN now() END
WHERE order_id = $1 AND attempt = $2
"""

_NEW_ATTEMPT = """
INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref,
                              amount_minor, state, lease_owner, lease_until, off_session)
VALUES ($1, $2, $3, $4, $5, $6, 'leased', $7, now() + make_interval(secs => $8), $9)
"""

_CHARGED = """
INSERT INTO payments (order_id, kind, payment_intent_ref, amount_minor, currency)
VALUES ($1, 'charge', $2, $3, $4) ON CONFLICT (payment_intent_ref) WHERE kind = 'charge' DO NOTHING
"""

_OVER_LIMIT = """
SELECT v.id FROM order_lines l JOIN variants v ON v.id = l.variant_id
WHERE l.order_id = $1 AND v.buyer_limit > 0 AND v.buyer_limit < l.quantity + (
  SELECT coalesce(sum(k.quantity), 0) FROM order_lines k JOIN orders o ON o.id = k.order_id
  WHERE k.variant_id = v.id AND o.user_id = $2 AND o.id <> $1
    AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled'))
"""


# Why lines can't be held again: money for them is given back, not sold any more, not open, kept for those who
# wait, at a price that is over for too long or that the buyer has had enough of. $1 order, $2 buyer, $3 how
# many seconds a flash price outlives its end, and the usual price of an order a dearer one.
_BARRED = """
SELECT CASE
  WHEN EXISTS (
    SELECT FROM refund_runs q
    WHERE q.created_at >= o.created_at AND (q.show_id IS NULL OR q.show_id = o.show_id)
      AND (q.product_id IS NULL OR q.product_id = v.product_id)) THEN 'not_for_sale'
  WHEN v.state <> 'active' OR p.state <> 'active' THEN 'not_for_sale'
  WHEN d.opens_at > statement_timestamp() THEN 'not_open_yet'
  WHEN coalesce(d.state = 'sold_out', true)
    AND EXISTS (SELECT FROM waitlist w WHERE w.variant_id = l.variant_id AND w.state = 'waiting')
    THEN 'sold_out'
  WHEN least(f.over_at, f.ends_at) + make_interval(secs => $3) < statement_timestamp() THEN 'price_changed'
  WHEN f.id IS NULL AND v.price_minor > l.unit_price_minor
    AND o.created_at + make_interval(secs => $3) < statement_timestamp() THEN 'price_changed'
  WHEN f.buyer_limit > 0 AND f.buyer_limit < l.quantity + (
    SELECT coalesce(sum(k.quantity), 0) FROM order_lines k JOIN orders b ON b.id = k.order_id
    WHERE k.flash_id = f.id AND b.user_id = $2 AND b.id <> $1
      AND b.state IN ('charging', 'action_needed', 'paid', 'fulfilled')) THEN 'buyer_limit'
  END AS code
FROM order_lines l JOIN orders o ON o.id = l.order_id JOIN variants v ON v.id = l.variant_id
JOIN products p ON p.id = v.product_id LEFT JOIN drops d ON d.variant_id = l.variant_id AND d.over_at IS NULL
LEFT JOIN flash_prices f ON f.id = l.flash_id
WHERE l.order_id = $1 ORDER BY l.position
"""


@dataclass(frozen=True, slots=True)
class LockedOrder:
    """An order that nobody else can change until the transaction ends."""

    record: OrderRecord
    connection: Connection
    owner: str
    lease_s: float

    async def write(self, change: Change) -> None:
        """Write a change whole. Raises StockShort."""
        await self._write_order(change)
        if change.attempt:
            await self._write_attempt(change.attempt)
        if change.new_attempt:
            await self._write_new_attempt(change.new_attempt)
        if change.refund:
            await refunds.ask(self.connection, self.record.id, change.refund)
        if change.charged:
            await self.connection.execute(
                _CHARGED,
                self.record.id,
                change.charged.payment_intent_ref,
                change.charged.amount_minor,
                self.record.currency,
            )
        if change.event:
            await self._write_event(change)
        if change.news:
            rows = [(news.kind, news.payload) for news in change.news]
            await self.connection.executemany("INSERT INTO outbox (kind, payload) VALUES ($1, $2)", rows)
        if change.stock:  # last: a hot row stays locked for the least time
            await self._move(change.stock)

    async def over_limit(self) -> bool:
        """Whether the order, held again, would take its buyer over a limit. Locks its stock first."""
        lines = [line.variant_id for line in self.record.lines]
        await self.connection.execute(LOCK_STOCK, lines)
        found = await self.connection.fetch(_OVER_LIMIT, self.record.id, self.record.user_id)
        return bool(found)

    async def barred(self) -> str | None:
        """The code of what keeps the order's lines from being held again, under the lock of their stock."""
        found = await self.connection.fetch(
            _BARRED, self.record.id, self.record.user_id, float(SECOND_CARD_GRACE_S)
        )
        return next((row["code"] for row in found if row["code"]), None)

    async def refunded(self, refund_id: str, refund_ref: str) -> None:
        """The provider carried the refund out."""
        await refunds.carry_out(self.connection, refund_id, refund_ref)

    async def refunded_there(self, payment_intent_ref: str, seen: Seen) -> None:
        """Somebody gave money back in the provider's dashboard."""
        await refunds.take_over(self.connection, self.record.id, payment_intent_ref, seen)

    async def refund_failed(self, refund_id: str, code: str, refund_ref: str | None = None) -> None:
        """Nothing went back, and nothing will. `refund_ref`: of one that the provider has nonetheless."""
        await refunds.give_up(self.connection, refund_id, code, refund_ref)

    async def refund_returned(self, refund_id: str) -> None:
        """What went back was returned by the bank."""
        await refunds.take_back(self.connection, refund_id)

    async def _write_order(self, change: Change) -> None:
        card_id = change.new_attempt.card_id if change.new_attempt else None
        if change.state is None and change.refunded_minor is None and change.owed_minor is None:
            return
        await self.connection.execute(
            _UPDATE,
            self.record.id,
            change.state,
            change.payment_intent_ref,
            change.failure_code,
            change.failure_message,
            change.action_deadline_s,
            change.refunded_minor,
            card_id,
            change.owed_minor,
            change.repaid_minor,
        )

    async def _write_attempt(self, change: AttemptChange) -> None:
        await self.connection.execute(
            _ATTEMPT,
            self.record.id,
            change.attempt,
            change.state,
            change.payment_intent_ref,
            change.client_secret if change.state is AttemptState.ACTION_NEEDED else None,
            change.failure_code,
        )

    async def _write_new_attempt(self, new: NewAttempt) -> None:
        await self.connection.execute(
            _NEW_ATTEMPT,
            self.record.id,
            new.attempt,
            idempotency_key(self.record.id, new.attempt),
            new.customer_ref,
            new.payment_method_ref,
            new.amount_minor,
            self.owner,
            self.lease_s,
            new.off_session,
        )

    async def _write_event(self, change: Change) -> None:
        await self.connection.execute(
            "INSERT INTO order_events (order_id, kind, detail, actor_id) VALUES ($1, $2, $3, $4)",
            self.record.id,
            change.event,
            change.detail,
            change.actor_id,
        )

    async def _move(self, movement: Movement) -> None:
        delta = DELTAS[movement]
        moved = await self.connection.fetch(
            _MOVE, self.record.id, movement, delta.available, delta.held, delta.sold
        )
        if len(moved) != len(self.record.lines):
            raise StockShort


class OrderStore:
    """`owner` and `lease_s`: a process that makes a new attempt has its first lease."""

    def __init__(self, pool: Pool, *, owner: str, lease_s: float = 10.0) -> None:
        self._database, self._owner, self._lease_s = Database(pool), owner, lease_s

    async def get(self, order_id: OrderId) -> OrderRecord | None:
        """The order as it is now, or None."""
        async with self._database.connection() as connection:
            return await _record(connection, order_id)

    @asynccontextmanager
    async def locked(self, order_id: OrderId) -> AsyncIterator[LockedOrder | None]:
        """The order under its row lock, in a transaction that commits with the block. None: no such order."""
        async with self._database.transaction() as connection:
            found = await connection.fetchval("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
            record = await _record(connection, order_id) if found else None
            yield LockedOrder(record, connection, self._owner, self._lease_s) if record else None

    async def buyers_card(self, user_id: str, card_id: str) -> tuple[str, str] | None:
        """(customer, payment method) of a saved card, or None where it is not this buyer's."""
        row = await self._database.fetchrow(
            "SELECT c.customer_ref, k.payment_method_ref FROM cards k"
            " JOIN payment_customers c ON c.user_id = k.user_id"
            " WHERE k.id = $1 AND k.user_id = $2 AND k.removed_at IS NULL",
            card_id,
            user_id,
        )
        return (row["customer_ref"], row["payment_method_ref"]) if row else None


async def _record(connection: Connection, order_id: str) -> OrderRecord | None:
    text: Any = await connection.fetchval(_READ, order_id)
    return msgspec.json.decode(text, type=OrderRecord) if text else None
