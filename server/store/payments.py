"""Who may charge what, and when: leases on attempts, the inbox of webhooks.

All claims take rows that are due, skip rows that others have locked, and push the due time on by the lease: a
worker that dies gives its claims back by doing nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.store.database import Database
from server.store.pool import Pool

_DUE_ATTEMPTS = """
UPDATE payment_attempts SET state = 'leased', lease_owner = $1,
                            lease_until = now() + make_interval(secs => $2)
WHERE (order_id, attempt) IN (
  SELECT order_id, attempt FROM payment_attempts
  WHERE state IN ('ready', 'leased', 'unknown') AND (lease_until IS NULL OR lease_until < now())
  ORDER BY lease_until NULLS FIRST LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING order_id::text, attempt
"""

_DUE_ACTIONS = """
UPDATE payment_attempts SET lease_until = now() + make_interval(secs => $1)
WHERE (order_id, attempt) IN (
  SELECT a.order_id, a.attempt FROM payment_attempts a JOIN orders o ON o.id = a.order_id
  WHERE a.state = 'action_needed' AND o.state = 'action_needed' AND o.action_deadline < now()
    AND (a.lease_until IS NULL OR a.lease_until < now())
  ORDER BY o.action_deadline LIMIT $2 FOR UPDATE OF a SKIP LOCKED)
RETURNING order_id::text, attempt
"""

_RENEW = """
UPDATE payment_attempts SET state = 'leased', lease_owner = $3,
                            lease_until = now() + make_interval(secs => $4)
WHERE order_id = $1 AND attempt = $2 AND state IN ('ready', 'leased', 'unknown')
  AND (lease_owner = $3 OR lease_until IS NULL OR lease_until < now())
RETURNING 1
"""

_PUT_OFF = """
UPDATE payment_attempts SET state = 'unknown', tries = tries + $4, lease_owner = NULL,
                            lease_until = now() + make_interval(secs => $3)
WHERE order_id = $1 AND attempt = $2 AND state IN ('ready', 'leased', 'unknown')
"""

_DUE_WEBHOOKS = """
UPDATE webhook_inbox SET attempts = attempts + 1, due_at = now() + make_interval(secs => $1)
WHERE event_id IN (SELECT event_id FROM webhook_inbox WHERE processed_at IS NULL AND due_at < now()
                   ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING event_id, kind, payload, attempts
"""

# A payload is never believed: that its payment is an order's is asked of the orders alone.
_NO_NEWS = """
UPDATE webhook_inbox w SET processed_at = now(), error = NULL
WHERE w.event_id = ANY($1) AND (w.kind = 'payment_intent.created'
  OR w.kind = 'refund.created' AND EXISTS (
    SELECT FROM refunds r WHERE r.refund_ref = w.payload #>> '{data,object,id}')
  OR w.kind = 'charge.refunded' AND w.payload #>> '{data,object,amount_refunded}' = (
    SELECT sum(r.amount_minor)::text FROM refunds r
    WHERE r.payment_intent_ref = w.payload #>> '{data,object,payment_intent}' AND r.state = 'done')
  OR w.kind IN ('payment_intent.succeeded', 'charge.succeeded') AND EXISTS (
    SELECT FROM orders o WHERE o.state IN ('paid', 'fulfilled', 'refunded') AND o.payment_intent_ref
      = coalesce(w.payload #>> '{data,object,payment_intent}', w.payload #>> '{data,object,id}')))
RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class Webhook:
    event_id: str
    kind: str
    payload: dict[str, Any]
    attempts: int


class PaymentStore:
    """`owner` names this process in leases."""

    def __init__(self, pool: Pool, *, owner: str, lease_s: float = 10.0) -> None:
        self._database, self._owner, self._lease_s = Database(pool), owner, lease_s

    async def renew(self, order_id: str, attempt: int) -> bool:
        """Take or renew the lease of an attempt; False when it is another's, or decided."""
        found = await self._database.fetchval(_RENEW, order_id, attempt, self._owner, self._lease_s)
        return found is not None

    async def put_off(self, order_id: str, attempt: int, delay_s: float, *, tried: bool = True) -> None:
        """No definite answer: again after a while, by anybody. `tried`: it may have been carried out."""
        await self._database.execute(_PUT_OFF, order_id, attempt, delay_s, int(tried))

    async def due_attempts(self, limit: int) -> list[tuple[str, int]]:
        """Lease attempts that nobody has."""
        rows = await self._database.fetch(_DUE_ATTEMPTS, self._owner, self._lease_s, limit)
        return [(row["order_id"], row["attempt"]) for row in rows]

    async def due_actions(self, limit: int) -> list[tuple[str, int]]:
        """Lease attempts whose buyer let the deadline pass."""
        rows = await self._database.fetch(_DUE_ACTIONS, self._lease_s, limit)
        return [(row["order_id"], row["attempt"]) for row in rows]

    async def receive_webhook(self, event_id: str, kind: str, payload: dict[str, Any]) -> bool:
        """Keep a verified event for later; False when it came before. Answer 200 either way."""
        added = await self._database.fetchval(
            "INSERT INTO webhook_inbox (event_id, kind, payload) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            event_id,
            kind,
            payload,
        )
        return added is not None

    async def due_webhooks(self, limit: int) -> list[Webhook]:
        rows = await self._database.fetch(_DUE_WEBHOOKS, self._lease_s, limit)
        return [Webhook(*row.values()) for row in rows]

    async def no_news(self, event_ids: Sequence[str]) -> set[str]:
        """Marks those that tell of what the orders know already as done; which they are."""
        return {row["event_id"] for row in await self._database.fetch(_NO_NEWS, event_ids)}

    async def webhook_done(self, event_id: str) -> None:
        await self._database.execute(
            "UPDATE webhook_inbox SET processed_at = now(), error = NULL WHERE event_id = $1", event_id
        )

    async def webhook_failed(self, event_id: str, error: str, delay_s: float) -> None:
        await self._database.execute(
            "UPDATE webhook_inbox SET error = $2, due_at = now() + make_interval(secs => $3)"
            " WHERE event_id = $1",
            event_id,
            error,
            delay_s,
        )
