"""Refunds: who carries which out and when, what is known of requests that failed, and the rows of the ledger.

What changes a refund's state is written under its order's row lock: the functions below take its connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.shop.record import NewRefund
from server.shop.refunds import AT_PROVIDER, Seen
from server.store.database import Database
from server.store.pool import Connection, Pool
from server.store.rows import new_id

_DUE = """
UPDATE refunds SET tries = tries + 1, due_at = now() + make_interval(secs => $1)
WHERE id IN (SELECT id FROM refunds WHERE state = 'queued' AND due_at < now()
             ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id::text, order_id::text, payment_intent_ref, amount_minor,
          idempotency_key || CASE WHEN repeats > 0 THEN ':' || repeats + 1 ELSE '' END, tries, repeats,
          extract(epoch FROM now() - created_at)::float8
"""

_PUT_OFF = """
UPDATE refunds SET due_at = now() + make_interval(secs => $2), tries = tries - $3::int WHERE id = $1
"""

_UNSEEN = """
UPDATE refunds SET unseen_since = coalesce(unseen_since, now()), doubted_since = NULL
WHERE id = $1 AND state = 'queued' AND repeats = $2
RETURNING extract(epoch FROM now() - unseen_since)::float8
"""

_SPENT = """
UPDATE refunds SET repeats = repeats + 1, due_at = now(), unseen_since = NULL
WHERE id = $1 AND state = 'queued' AND repeats = $2 RETURNING 1
"""

_DOUBTED = """
UPDATE refunds SET doubted_since = coalesce(doubted_since, now()), unseen_since = NULL
WHERE id = $1 AND state = 'queued' RETURNING extract(epoch FROM now() - doubted_since)::float8
"""

_TOLD_ONCE = """
INSERT INTO order_events (order_id, kind, detail)
SELECT $1, $2, $3 WHERE NOT EXISTS (
  SELECT FROM order_events WHERE order_id = $1 AND kind = $2 AND detail ->> 'refund' = $3::jsonb ->> 'refund')
RETURNING 1
"""

_ASKED = """
INSERT INTO refunds (id, order_id, payment_intent_ref, amount_minor, reason, idempotency_key, restock,
                     requested_by, run_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING
"""

_ENTERED = """
INSERT INTO payments (order_id, kind, payment_intent_ref, refund_ref, amount_minor, currency)
SELECT r.order_id, $2, r.payment_intent_ref, r.refund_ref, r.amount_minor, o.currency
FROM refunds r JOIN orders o ON o.id = r.order_id WHERE r.id = $1
"""

_MADE_THERE = """
INSERT INTO refunds (id, order_id, payment_intent_ref, amount_minor, reason, idempotency_key, refund_ref,
                     at_provider, state, done_at)
VALUES ($1, $2, $3, $4, $5, 'there:' || $6::text, $6, true, 'done', now())
"""

# What it would have put back on sale stays sold, unless another refund has put it there meanwhile.
_GIVEN_UP = """
UPDATE refunds r SET state = 'failed', failure_code = $2, refund_ref = $3, done_at = now(),
                     restock = r.restock AND o.state = 'refunded'
FROM orders o WHERE r.id = $1 AND o.id = r.order_id
"""


@dataclass(frozen=True, slots=True)
class DueRefund:
    """`tries` counts this one. `idempotency_key` is another one after each of the `repeats`."""

    id: str
    order_id: str
    payment_intent_ref: str
    amount_minor: int
    idempotency_key: str
    tries: int
    repeats: int
    age_s: float


class RefundStore:
    def __init__(self, pool: Pool, *, lease_s: float = 10.0) -> None:
        self._database, self._lease_s = Database(pool), lease_s

    async def due(self, limit: int) -> list[DueRefund]:
        """Lease refunds that wait to be carried out."""
        return [DueRefund(*row.values()) for row in await self._database.fetch(_DUE, self._lease_s, limit)]

    async def put_off(self, refund_id: str, delay_s: float, *, failed: bool = True) -> None:
        """Again after a while, by anybody. `failed`: nobody answered, so that this counts as a try."""
        await self._database.execute(_PUT_OFF, refund_id, delay_s, int(not failed))

    async def unseen(self, refund: DueRefund) -> float:
        """The provider shows nothing of it, and its sums add up: since how many seconds that is so."""
        return float(await self._database.fetchval(_UNSEEN, refund.id, refund.repeats) or 0.0)

    async def doubted(self, refund: DueRefund) -> float:
        """What the provider shows doesn't add up: since how many seconds that is so."""
        return float(await self._database.fetchval(_DOUBTED, refund.id) or 0.0)

    async def told(self, refund: DueRefund, kind: str) -> bool:
        """Say it in the order's history; False: that was said before."""
        detail = {"amount_minor": refund.amount_minor, "refund": refund.id}
        return bool(await self._database.fetchval(_TOLD_ONCE, refund.order_id, kind, detail))

    async def spent(self, refund: DueRefund) -> None:
        """The provider failed, and did nothing under this key: kept, with what makes the next one. The
        refund is due at once; if that fails, too, it waits.
        """
        async with self._database.transaction() as connection:
            if await connection.fetchval(_SPENT, refund.id, refund.repeats):
                await connection.execute(
                    "INSERT INTO order_events (order_id, kind, detail) VALUES ($1, 'refund_repeated', $2)",
                    refund.order_id,
                    {"amount_minor": refund.amount_minor, "code": "provider_error", "refund": refund.id},
                )

    async def order_of(self, payment_intent: str) -> str | None:
        """Which order a payment was taken for, as the ledger has it."""
        found: str | None = await self._database.fetchval(
            "SELECT order_id::text FROM payments WHERE payment_intent_ref = $1 AND kind = 'charge'",
            payment_intent,
        )
        return found


async def ask(connection: Connection, order_id: str, refund: NewRefund) -> None:
    await connection.execute(
        _ASKED,
        refund.id or new_id(),
        order_id,
        refund.payment_intent_ref,
        refund.amount_minor,
        refund.reason,
        refund.key,
        refund.restock,
        refund.requested_by,
        refund.run_id,
    )


async def carry_out(connection: Connection, refund_id: str, refund_ref: str) -> None:
    await connection.execute(
        "UPDATE refunds SET state = 'done', refund_ref = $2, failure_code = NULL, done_at = now()"
        " WHERE id = $1",
        refund_id,
        refund_ref,
    )
    await connection.execute(_ENTERED, refund_id, "refund")


async def take_over(connection: Connection, order_id: str, payment_intent_ref: str, seen: Seen) -> None:
    """A refund that was made at the provider becomes one of ours."""
    refund_id = new_id()
    await connection.execute(
        _MADE_THERE, refund_id, order_id, payment_intent_ref, seen.amount_minor, AT_PROVIDER, seen.ref
    )
    await connection.execute(_ENTERED, refund_id, "refund")


async def give_up(connection: Connection, refund_id: str, code: str, refund_ref: str | None) -> None:
    """`refund_ref`: what the provider made of it, where it made anything: older news of it is none then."""
    await connection.execute(_GIVEN_UP, refund_id, code, refund_ref)


async def take_back(connection: Connection, refund_id: str) -> None:
    """The bank returned it. That it was carried out stays in the ledger; that it came back follows."""
    await connection.execute("UPDATE refunds SET state = 'returned' WHERE id = $1", refund_id)
    await connection.execute(_ENTERED, refund_id, "refund_returned")
