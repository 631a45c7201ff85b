"""Orders to look at: whole pages and single ones, for buyers and staff. Changing them is the checkout's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from server.store.pool import Connection
from server.store.rows import plain

PAGE = 25


class OrderLine(Struct, frozen=True):
    variant_id: str
    title: str
    variant_title: str
    quantity: int
    unit_price_minor: int
    image_id: str | None


class Happening(Struct, frozen=True):
    kind: str
    at: datetime
    detail: dict[str, Any]


class OrderRow(Struct, frozen=True):
    id: str
    user_id: str | None
    buyer_name: str | None
    buyer_email: str | None
    number: int
    state: str
    show_id: str | None
    auction_id: str | None
    currency: str
    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int
    refunded_minor: int
    owed_minor: int
    repaid_minor: int
    address: dict[str, Any]
    card_brand: str | None
    card_last4: str | None
    failure_code: str | None
    failure_message: str | None
    client_secret: str | None
    created_at: datetime
    settled_at: datetime | None
    fulfilled_at: datetime | None
    lines: tuple[OrderLine, ...]
    history: tuple[Happening, ...]


_ORDER = """
    SELECT o.id, o.user_id, u.display_name AS buyer_name, u.email AS buyer_email, o.number, o.state,
           o.show_id, o.auction_id, o.currency, o.subtotal_minor, o.shipping_minor, o.tax_minor,
           o.total_minor, o.refunded_minor, o.owed_minor, o.repaid_minor, o.address,
           c.brand AS card_brand, c.last4 AS card_last4, o.failure_code, o.failure_message,
           CASE WHEN o.state = 'action_needed' THEN (
               SELECT a.client_secret FROM payment_attempts a WHERE a.order_id = o.id
               ORDER BY a.attempt DESC LIMIT 1) END AS client_secret,
           o.created_at, o.settled_at, o.fulfilled_at
    FROM orders o LEFT JOIN users u ON u.id = o.user_id LEFT JOIN cards c ON c.id = o.card_id
"""
_NEWEST = "ORDER BY o.number DESC LIMIT $2"


async def order(db: Connection, order_id: str) -> OrderRow | None:
    record = await db.fetchrow(f"{_ORDER} WHERE o.id = $1", order_id)
    return None if record is None else (await _whole(db, [plain(record)]))[0]


_TRAIL = """
SELECT 'charge_attempt' AS kind, created_at AS at,
       jsonb_build_object('attempt', attempt, 'state', state, 'tries', tries, 'reference', payment_intent_ref,
                          'code', failure_code, 'key', idempotency_key) AS detail
FROM payment_attempts WHERE order_id = $1
UNION ALL
SELECT 'ledger_' || kind, at, jsonb_build_object('entry', id, 'amount_minor', amount_minor,
                                                 'reference', coalesce(refund_ref, payment_intent_ref))
FROM payments WHERE order_id = $1
UNION ALL
SELECT 'refund_is_' || state, coalesce(done_at, created_at),
       jsonb_build_object('amount_minor', amount_minor, 'reason', reason, 'tries', tries,
                          'code', failure_code, 'reference', refund_ref)
FROM refunds WHERE order_id = $1
UNION ALL
SELECT 'webhook', received_at, jsonb_build_object('event', kind, 'reference', event_id,
         'processed', CASE WHEN processed_at IS NULL THEN 'no' ELSE 'yes' END, 'error', error)
FROM webhook_inbox
WHERE coalesce(payload #>> '{data,object,payment_intent}', payload #>> '{data,object,id}') IN (
  SELECT payment_intent_ref FROM payment_attempts WHERE order_id = $1
  UNION SELECT payment_intent_ref FROM payments WHERE order_id = $1)
ORDER BY at
"""


async def trail(db: Connection, order_id: str) -> tuple[Happening, ...]:
    """What happened behind an order's history: attempts, ledger, refunds, webhooks. For the shop's people."""
    return tuple(Happening(**dict(row)) for row in await db.fetch(_TRAIL, order_id))


async def orders_of_user(
    db: Connection, user_id: str, before: int | None, limit: int = PAGE
) -> list[OrderRow]:
    """A buyer's orders, the newest first. `before` is the last number of the page before."""
    records = await db.fetch(
        f"{_ORDER} WHERE o.user_id = $1 AND ($3::bigint IS NULL OR o.number < $3) {_NEWEST}",
        user_id,
        limit,
        before,
    )
    return await _whole(db, [plain(record) for record in records])


async def orders_of_shop(
    db: Connection,
    shop_id: str,
    state: str | None,
    q: str,
    before: int | None,
    limit: int = PAGE,
    *,
    owed: bool = False,
) -> list[OrderRow]:
    """A shop's orders; `q` is an order number, or part of the buyer's name or e-mail."""
    records = await db.fetch(
        f"""
        {_ORDER}
        WHERE o.shop_id = $1 AND ($3::bigint IS NULL OR o.number < $3) AND ($4::text IS NULL OR o.state = $4)
          AND ($5 = '' OR o.number::text = ltrim($5, '#') OR strpos(u.email, lower($5)) > 0
               OR strpos(lower(u.display_name), lower($5)) > 0)
          AND (o.owed_minor > 0 OR NOT $6)
        {_NEWEST}
        """,
        shop_id,
        limit,
        before,
        state,
        q,
        owed,
    )
    return await _whole(db, [plain(record) for record in records])


async def _whole(db: Connection, heads: list[dict[str, Any]]) -> list[OrderRow]:
    ids = [head["id"] for head in heads]
    lines = await db.fetch(
        """
        SELECT l.order_id, l.variant_id, l.title, l.variant_title, l.quantity, l.unit_price_minor,
               (SELECT pi.image_id FROM variants v JOIN product_images pi ON pi.product_id = v.product_id
                WHERE v.id = l.variant_id ORDER BY pi.position, pi.image_id LIMIT 1) AS image_id
        FROM order_lines l WHERE l.order_id = ANY($1::uuid[]) ORDER BY l.order_id, l.position
        """,
        ids,
    )
    history = await db.fetch(
        "SELECT order_id, kind, at, detail FROM order_events WHERE order_id = ANY($1::uuid[]) ORDER BY id",
        ids,
    )
    lines_of, history_of = _grouped(lines), _grouped(history)
    return [
        OrderRow(
            **head,
            lines=tuple(OrderLine(**line) for line in lines_of.get(head["id"], [])),
            history=tuple(Happening(**one) for one in history_of.get(head["id"], [])),
        )
        for head in heads
    ]


def _grouped(records: list[Any]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found = plain(record)
        grouped.setdefault(found.pop("order_id"), []).append(found)
    return grouped
