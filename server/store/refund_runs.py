"""Wishes to give money back for many orders at once, what each still has to do, and how far it has come."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from server.store.database import Database
from server.store.pool import Connection, Pool
from server.store.rows import row, rows, touched

# A tap on its way when a show is cancelled is written down moments later; a next-in-line's order much later.
GRACE_S = 10

# A run's orders `o`, whatever their state. `r` is the run, $1 its id.
_OF_RUN = f"""
FROM refund_runs r JOIN orders o ON o.shop_id = r.shop_id AND (r.show_id IS NULL OR o.show_id = r.show_id)
WHERE r.id = $1
  AND (o.created_at <= r.created_at OR r.cancels_show AND (
       o.auction_id IS NOT NULL OR o.created_at <= r.created_at + make_interval(secs => {GRACE_S})))
  AND (r.product_id IS NULL OR EXISTS (
       SELECT FROM order_lines l JOIN variants v ON v.id = l.variant_id
       WHERE l.order_id = o.id AND v.product_id = r.product_id AND l.unit_price_minor > 0))
"""

# What an order's own payment still has that nobody was promised.
_LEFT = """
o.total_minor - o.repaid_minor - coalesce((
  SELECT sum(f.amount_minor) FROM refunds f
  WHERE f.order_id = o.id AND f.payment_intent_ref = o.payment_intent_ref
    AND f.state IN ('queued', 'done')), 0)
"""

_NEXT = f"""
SELECT o.id::text {_OF_RUN}
  AND (o.state = 'paid' OR o.state = 'fulfilled' AND r.sent_too) AND {_LEFT} > 0
  AND NOT EXISTS (SELECT FROM refunds f WHERE f.run_id = r.id AND f.order_id = o.id)
ORDER BY o.number LIMIT $2
"""

_UNDECIDED = f"""
SELECT EXISTS (SELECT 1 {_OF_RUN} AND o.state IN ('charging', 'action_needed')) OR EXISTS (
  SELECT FROM auctions a JOIN refund_runs r ON r.show_id = a.show_id AND r.cancels_show
  WHERE r.id = $1 AND a.state NOT IN ('sold', 'unsold', 'cancelled'))
OR EXISTS (SELECT FROM refund_runs WHERE id = $1 AND cancels_show
           AND now() < created_at + make_interval(secs => {GRACE_S}))
"""

_DUE = """
UPDATE refund_runs SET due_at = now() + make_interval(secs => $1)
WHERE id = (SELECT id FROM refund_runs WHERE done_at IS NULL AND due_at < now()
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, shop_id, show_id, product_id, cancels_show, sent_too, restock, reason, asked_by
"""

_ADD = """
INSERT INTO refund_runs (id, shop_id, show_id, product_id, cancels_show, sent_too, restock, reason, asked_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING
"""

_PROGRESS = """
SELECT r.id, r.show_id, r.product_id, s.title AS show_title, p.title AS product_title, r.cancels_show,
       r.sent_too, r.restock, r.reason, u.display_name AS asked_by_name, r.created_at, r.done_at,
       count(f.id)::int AS asked, count(f.id) FILTER (WHERE f.state = 'done')::int AS given,
       count(f.id) FILTER (WHERE f.state IN ('failed', 'returned'))::int AS failed,
       coalesce(sum(f.amount_minor) FILTER (WHERE f.state = 'done'), 0)::bigint AS given_minor
FROM refund_runs r LEFT JOIN shows s ON s.id = r.show_id LEFT JOIN products p ON p.id = r.product_id
LEFT JOIN users u ON u.id = r.asked_by LEFT JOIN refunds f ON f.run_id = r.id
WHERE r.shop_id = $1 AND {condition}
GROUP BY r.id, s.title, p.title, u.display_name ORDER BY r.created_at DESC LIMIT 50
"""

_OPEN_WAYS = """
SELECT 'drop' AS way, id::text FROM drops WHERE show_id = $1 AND over_at IS NULL AND state = 'scheduled'
UNION ALL SELECT 'auction', id::text FROM auctions WHERE show_id = $1 AND state IN ('announced', 'open')
UNION ALL SELECT 'flash', id::text FROM flash_prices
WHERE show_id = $1 AND over_at IS NULL AND ends_at > now()
"""

_REACH = f"""
WITH one AS (
  SELECT o.state, {_LEFT} AS minor, (
    SELECT sum(l.quantity * l.unit_price_minor) FROM order_lines l JOIN variants v ON v.id = l.variant_id
    WHERE l.order_id = o.id AND v.product_id = $3) AS meant, EXISTS (
    SELECT FROM order_lines l JOIN variants v ON v.id = l.variant_id
    WHERE l.order_id = o.id AND v.product_id IS DISTINCT FROM $3) AS bag
  FROM orders o
  WHERE o.shop_id = $1 AND ($2::uuid IS NULL OR o.show_id = $2) AND o.state IN ('paid', 'fulfilled')
    AND ($3::uuid IS NULL OR EXISTS (
      SELECT FROM order_lines l JOIN variants v ON v.id = l.variant_id
      WHERE l.order_id = o.id AND v.product_id = $3 AND l.unit_price_minor > 0))
), amounts AS (
  SELECT state, CASE WHEN $3::uuid IS NOT NULL AND bag THEN least(minor, meant) ELSE minor END AS minor
  FROM one WHERE minor > 0
)
SELECT count(*) FILTER (WHERE state = 'paid')::int AS to_send,
       coalesce(sum(minor) FILTER (WHERE state = 'paid'), 0)::bigint AS to_send_minor,
       count(*) FILTER (WHERE state = 'fulfilled')::int AS sent,
       coalesce(sum(minor) FILTER (WHERE state = 'fulfilled'), 0)::bigint AS sent_minor
FROM amounts
"""


class Run(Struct, frozen=True):
    """`show_id` None: orders of any show and none. `product_id` None: orders whole, else that part."""

    id: str
    shop_id: str
    show_id: str | None
    product_id: str | None
    cancels_show: bool
    sent_too: bool
    restock: bool
    reason: str
    asked_by: str


class Progress(Struct, frozen=True):
    """How far a run is. Of the refunds `asked` for some are `given`, some `failed`, the rest under way."""

    id: str
    show_id: str | None
    product_id: str | None
    show_title: str | None
    product_title: str | None
    cancels_show: bool
    sent_too: bool
    restock: bool
    reason: str
    asked_by_name: str | None
    created_at: datetime
    done_at: datetime | None
    asked: int
    given: int
    failed: int
    given_minor: int


class Reach(Struct, frozen=True):
    """What a run would give back now: orders that wait to be sent, and orders that were."""

    to_send: int
    to_send_minor: int
    sent: int
    sent_minor: int


async def add(db: Connection, run: Run) -> bool:
    """False: it was asked for before."""
    status = await db.execute(
        _ADD,
        run.id,
        run.shop_id,
        run.show_id,
        run.product_id,
        run.cancels_show,
        run.sent_too,
        run.restock,
        run.reason,
        run.asked_by,
    )
    return touched(status) > 0


async def has_product(db: Connection, shop_id: str, product_id: str) -> bool:
    found = await db.fetchval("SELECT 1 FROM products WHERE id = $1 AND shop_id = $2", product_id, shop_id)
    return found is not None


async def progress(db: Connection, shop_id: str, run_id: str) -> Progress | None:
    return row(Progress, await db.fetchrow(_PROGRESS.format(condition="r.id = $2"), shop_id, run_id))


async def of(db: Connection, shop_id: str, show_id: str | None, product_id: str | None) -> list[Progress]:
    """The newest runs; of a show, or of a product, or all."""
    condition = "($2::uuid IS NULL OR r.show_id = $2) AND ($3::uuid IS NULL OR r.product_id = $3)"
    return rows(Progress, await db.fetch(_PROGRESS.format(condition=condition), shop_id, show_id, product_id))


async def reach(db: Connection, shop_id: str, show_id: str | None, product_id: str | None) -> Reach:
    found = row(Reach, await db.fetchrow(_REACH, shop_id, show_id, product_id))
    assert found is not None
    return found


class RunStore:
    """A run is leased by whoever works on it; one that dies gives it back by doing nothing."""

    def __init__(self, pool: Pool, *, lease_s: float = 10.0) -> None:
        self._database, self._lease_s = Database(pool), lease_s

    async def due(self) -> Run | None:
        return row(Run, await self._database.fetchrow(_DUE, self._lease_s))

    async def next_orders(self, run: Run, limit: int) -> list[str]:
        """Orders that it is about and has not asked for yet."""
        return [found["id"] for found in await self._database.fetch(_NEXT, run.id, limit)]

    async def variants(self, product_id: str) -> frozenset[str]:
        found = await self._database.fetch("SELECT id::text FROM variants WHERE product_id = $1", product_id)
        return frozenset(variant["id"] for variant in found)

    async def undecided(self, run: Run) -> bool:
        """Whether any of its orders may yet be paid."""
        return bool(await self._database.fetchval(_UNDECIDED, run.id))

    async def open_ways(self, show_id: str) -> list[tuple[str, str]]:
        """Drops that have not opened, auctions before their hammer, flash prices: ("drop", "auction" or
        "flash", id)."""
        return [(found["way"], found["id"]) for found in await self._database.fetch(_OPEN_WAYS, show_id)]

    async def go_on(self, run: Run, delay_s: float) -> None:
        await self._database.execute(
            "UPDATE refund_runs SET due_at = now() + make_interval(secs => $2) WHERE id = $1", run.id, delay_s
        )

    async def done(self, run: Run) -> None:
        await self._database.execute("UPDATE refund_runs SET done_at = now() WHERE id = $1", run.id)
