"""Mails about orders: what the checkout put into the outbox, filled from the order as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.store import order_views, staff
from server.store.order_views import OrderRow
from server.store.pool import Connection

_LETTERS = {"receipt": "receipt", "fulfilled": "shipped", "refund": "refund"}


async def order_letter(db: Connection, payload: Mapping[str, Any], public_url: str) -> dict[str, Any] | None:
    """The letter for {template, order_id}; None where order or buyer are gone."""
    order, shop = await order_views.order(db, payload["order_id"]), await staff.the_shop(db)
    if order is None or shop is None or order.buyer_email is None:
        return None
    values = _values(order, shop.name, public_url)
    if payload["template"] == "refund":
        values["amount_minor"] = await _refunded(db, order.id)
    return {"letter": _LETTERS[payload["template"]], "to": order.buyer_email, "values": values}


def _values(order: OrderRow, shop_name: str, public_url: str) -> dict[str, Any]:
    return {
        "name": order.buyer_name,
        "shop": shop_name,
        "number": order.number,
        "link": f"{public_url}/orders/{order.id}",
        "currency": order.currency,
        "shipping_minor": order.shipping_minor,
        "tax_minor": order.tax_minor,
        "total_minor": order.total_minor,
        "lines": [
            {
                "title": line.title,
                "variant_title": line.variant_title,
                "quantity": line.quantity,
                "unit_price_minor": line.unit_price_minor,
            }
            for line in order.lines
        ],
    }


async def _refunded(db: Connection, order_id: str) -> int:
    """The refund that was done last."""
    amount = await db.fetchval(
        """
        SELECT amount_minor FROM refunds WHERE order_id = $1 AND state = 'done'
        ORDER BY done_at DESC LIMIT 1
        """,
        order_id,
    )
    return int(amount or 0)
