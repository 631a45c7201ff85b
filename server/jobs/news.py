"""The outbox's publisher: tells the rooms, the buyers and the post what was committed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from server.checkout.answers import view_of
from server.checkout.auctions.refusals import not_paid
from server.checkout.ports import Orders, RoomNews
from server.shop.gate import VariantOnAir
from server.shop.ids import OrderId
from server.store.database import Database
from server.store.outbox import OutboxRow, OutboxStore
from server.store.pool import Pool
from server.store.stock import StockStore

_LOG = logging.getLogger("hawker.jobs.news")
AT_ONCE = 16
ROW_DEADLINE_S = 5.0
MAIL_DEADLINE_S = 18.0
BUDGET_S = 10.0  # with a row's deadline below the pool's longest idle transaction, in which a batch is told
STOCK_GAP_S = 0.1  # a room hears of one variant at most ten times a second
_VARIANTS_KEPT = 10_000

Failures = dict[int, str | None]  # None: not tried, due as before
Handler = Callable[[Sequence[OutboxRow]], Awaitable[Failures]]


def each(tell: Callable[[OutboxRow], Awaitable[None]], *, deadline_s: float = ROW_DEADLINE_S) -> Handler:
    """A handler that tells rows one by one, some at a time; one that fails doesn't hold up the others.

    What it doesn't get to within BUDGET_S waits for the next run.
    """

    async def handle(rows: Sequence[OutboxRow]) -> Failures:
        failures: Failures = {}
        slots = asyncio.Semaphore(AT_ONCE)
        began = time.monotonic()

        async def one(row: OutboxRow) -> None:
            async with slots:
                if time.monotonic() - began > BUDGET_S:
                    failures[row.id] = None
                    return
                try:
                    async with asyncio.timeout(deadline_s):
                        await tell(row)
                except Exception as error:
                    failures[row.id] = f"{type(error).__name__}: {error}"

        await asyncio.gather(*map(one, rows))
        return failures

    return handle


class Publisher:
    """One publisher's kinds, and how each is told. At most `limit` rows a run."""

    def __init__(
        self, store: OutboxStore, name: str, handlers: Mapping[str, Handler], *, limit: int = 500
    ) -> None:
        self._store, self._name, self._handlers, self._limit = store, name, handlers, limit

    async def run(self) -> int:
        """How many rows were told."""
        async with self._store.due(self._name, list(self._handlers), self._limit) as batch:
            if batch is None or not batch.rows:
                return 0
            failures: Failures = {}
            for kind, handler in self._handlers.items():
                rows = [row for row in batch.rows if row.kind == kind]
                if rows:
                    failures |= await self._told(kind, handler, rows)
            await batch.finish(failures)
            return len(batch.rows) - len(failures)

    async def _told(self, kind: str, handler: Handler, rows: Sequence[OutboxRow]) -> Failures:
        try:
            failures = await handler(rows)
        except Exception as error:
            failures = {row.id: f"{type(error).__name__}: {error}" for row in rows}
        errors = [error for error in failures.values() if error is not None]
        if errors:
            _LOG.warning("news_not_told", extra={"kind": kind, "rows": len(errors), "error": errors[0]})
        return failures


class RoomTeller:
    """Handlers for what rooms and buyers are told. Numbers are read when they are told, so many changes of a
    variant in one run are one event with the newest.
    """

    def __init__(
        self,
        orders: Orders,
        stock: StockStore,
        news: RoomNews,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orders, self._stock, self._news, self._clock = orders, stock, news, clock
        self._told_at: dict[str, float] = {}

    def handlers(self) -> dict[str, Handler]:
        return {
            "stock": self._tell_stock,
            "price": self._tell_price,
            "purchased": each(self._tell_purchased),
            "personal": each(self._tell_personal),
        }

    async def _tell_stock(self, rows: Sequence[OutboxRow]) -> Failures:
        async def tell(show_id: str, event_id: str, variant: VariantOnAir) -> None:
            await self._news.stock_changed(show_id, event_id, variant.variant_id, variant.available)

        now = self._clock()
        ready = [row for row in rows if now - self._told(row) >= STOCK_GAP_S]
        # One row a variant waits for all: a crowd's taps must not fill the batch and hold up other news.
        waiting = {row.payload["variant_id"]: row.id for row in rows if row not in ready}
        early = dict.fromkeys(waiting.values())
        if len(self._told_at) > _VARIANTS_KEPT:
            self._told_at.clear()
        self._told_at.update({row.payload["variant_id"]: now for row in ready})
        return {**early, **await self._tell_variants(ready, tell)}

    def _told(self, row: OutboxRow) -> float:
        return self._told_at.get(row.payload["variant_id"], float("-inf"))

    async def _tell_price(self, rows: Sequence[OutboxRow]) -> Failures:
        async def tell(show_id: str, event_id: str, v: VariantOnAir) -> None:
            await self._news.price_changed(show_id, event_id, v.variant_id, v.price_minor, v.compare_at_minor)

        return await self._tell_variants(rows, tell)

    async def _tell_variants(
        self, rows: Sequence[OutboxRow], tell: Callable[[str, str, VariantOnAir], Awaitable[None]]
    ) -> Failures:
        newest = {row.payload["variant_id"]: row for row in rows}
        failures: dict[str, str] = {}
        for variant in await self._stock.on_air(list(newest)):
            row = newest[variant.variant_id]
            try:
                for show_id in variant.show_ids:
                    async with asyncio.timeout(ROW_DEADLINE_S):
                        await tell(show_id, f"outbox:{row.id}:{show_id}", variant)
            except Exception as error:
                failures[variant.variant_id] = f"{type(error).__name__}: {error}"
        return {row.id: failures[v] for row in rows if (v := row.payload["variant_id"]) in failures}

    async def _tell_purchased(self, row: OutboxRow) -> None:
        said = row.payload
        await self._news.purchased(
            said["show_id"], f"outbox:{row.id}", said["product_title"], said["quantity"], said["first_name"]
        )

    async def _tell_personal(self, row: OutboxRow) -> None:
        order = await self._orders.get(OrderId(row.payload["order_id"]))
        if order is not None and order.user_id is not None:
            await self._news.personal(order.user_id, view_of(order))


_ORDER_MAIL = """
SELECT o.id::text, o.number, o.currency, o.shipping_minor, o.total_minor, o.tax_minor, u.email,
       u.display_name AS name, s.name AS shop,
       (SELECT jsonb_agg(jsonb_build_object('title', l.title, 'variant_title', l.variant_title,
               'quantity', l.quantity, 'unit_price_minor', l.unit_price_minor) ORDER BY l.position)
          FROM order_lines l WHERE l.order_id = o.id) AS lines
FROM orders o JOIN users u ON u.id = o.user_id JOIN shops s ON s.id = o.shop_id WHERE o.id = $1
"""


_OFFER_MAIL = """
SELECT u.email, u.display_name AS name, w.offered AS quantity, p.title, v.title AS variant_title, s.currency,
       least(v.price_minor, f.price_minor) AS unit_price_minor,
       extract(epoch FROM w.offer_ends_at - clock_timestamp())::float8 AS left_s
FROM waitlist w JOIN users u ON u.id = w.user_id JOIN variants v ON v.id = w.variant_id
JOIN products p ON p.id = v.product_id JOIN shops s ON s.id = p.shop_id
LEFT JOIN flash_prices f ON f.variant_id = v.id AND f.over_at IS NULL AND f.ends_at > now()
WHERE w.id = $1 AND w.state = 'offered' AND w.offer_ends_at > clock_timestamp()
"""


_LOST_MAIL = """
SELECT u.email, u.display_name AS name, f.price_minor, f.failure, o.failure_code, a.id::text AS auction_id,
       p.title, v.title AS variant_title, s.currency, s.name AS shop
FROM auction_offers f JOIN auctions a ON a.id = f.auction_id JOIN users u ON u.id = f.user_id
JOIN variants v ON v.id = a.variant_id JOIN products p ON p.id = v.product_id JOIN shops s ON s.id = a.shop_id
LEFT JOIN orders o ON o.id = f.order_id WHERE f.auction_id = $1 AND f.n = $2
"""


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(int(seconds), 1)} seconds"
    return f"{round(seconds / 60)} minutes"


class OrderMail:
    """Writes mails of orders and offers from what they are. `deliver` is server.mail.Mailer's."""

    def __init__(
        self, pool: Pool, deliver: Callable[[Mapping[str, Any]], Awaitable[None]], public_url: str
    ) -> None:
        self._database, self._deliver, self._public_url = Database(pool), deliver, public_url.rstrip("/")

    def handlers(self) -> dict[str, Handler]:
        """`order_mail`, `offer_mail`, `auction_mail` and, ready written, `mail`."""
        return {
            "auction_mail": each(self._tell_lost, deadline_s=MAIL_DEADLINE_S),
            "offer_mail": each(self._tell_offer, deadline_s=MAIL_DEADLINE_S),
            "order_mail": each(self._tell, deadline_s=MAIL_DEADLINE_S),
            "mail": each(lambda row: self._deliver(row.payload), deadline_s=MAIL_DEADLINE_S),
        }

    async def _tell(self, row: OutboxRow) -> None:
        order = await self._database.fetchrow(_ORDER_MAIL, row.payload["order_id"])
        if order is None:  # its buyer left
            return
        values = dict(order)
        email, link = values.pop("email"), f"{self._public_url}/orders/{values.pop('id')}"
        extra = {"amount_minor": row.payload.get("amount_minor"), "link": link}
        await self._deliver({"letter": row.payload["letter"], "to": email, "values": values | extra})

    async def _tell_offer(self, row: OutboxRow) -> None:
        offer = await self._database.fetchrow(_OFFER_MAIL, row.payload["place_id"])
        if offer is None:  # over, or taken: nothing to hurry for
            return
        values = dict(offer)
        email, left_s = values.pop("email"), values.pop("left_s")
        extra = {"left": _spoken(left_s), "link": f"{self._public_url}/account/waitlist"}
        await self._deliver({"letter": "offer", "to": email, "values": values | extra})

    async def _tell_lost(self, row: OutboxRow) -> None:
        lost = await self._database.fetchrow(_LOST_MAIL, row.payload["auction_id"], row.payload["offer"])
        if lost is None:  # the bidder left
            return
        values = dict(lost)
        email, auction_id = values.pop("email"), values.pop("auction_id")
        reason = not_paid(values.pop("failure"), values.pop("failure_code"))
        extra = {"reason": reason, "link": f"{self._public_url}/auctions/{auction_id}"}
        await self._deliver({"letter": "auction_lost", "to": email, "values": values | extra})
