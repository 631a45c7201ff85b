"""Writing orders down (T1): a batch in one transaction, so that hot stock costs one commit for many taps.

Stock rows are locked in the order of their ids, here as everywhere. What is read after that can't change
before it is written, so the decision itself is plain Python (see shop.allocation). Five round trips a batch,
however many orders are in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import asyncpg
import msgspec

from server.checkout.ports import LedgerBusy, LedgerUnsure
from server.shop.allocation import Decision, Placed, Reading, decide
from server.shop.wish import Wish
from server.store.batch import Batcher, BatcherFull
from server.store.database import TROUBLE
from server.store.pool import Connection, Pool, transaction
from server.store.sql import statement

Result = TypeVar("Result")


class StockMoved(Exception):
    """A stock row that was locked is not what it was: nothing of the batch was written."""


LOCK_STOCK = "SELECT FROM stock WHERE variant_id = ANY($1::uuid[]) ORDER BY variant_id FOR UPDATE"

_READ = statement("placing_read")

_WRITE = statement("placing_write")


class _Line(msgspec.Struct, frozen=True):
    position: int
    variant_id: str
    title: str
    variant_title: str
    quantity: int
    unit_price_minor: int


class _Order(msgspec.Struct, frozen=True):
    id: str
    shop_id: str
    show_id: str | None
    user_id: str
    currency: str
    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int
    address: dict[str, str]
    card_id: str
    digest: str
    show_first_name: bool
    media_time: int | None
    idempotency_key: str
    customer_ref: str
    payment_method_ref: str
    lines: tuple[_Line, ...]


def idempotency_key(order_id: str, attempt: int) -> str:
    """The key an attempt charges with: the same after any crash."""
    return f"order:{order_id}:{attempt}"


class OrderWriter:
    """Places orders. What arrives while a batch is being committed goes into the next one.

    `owner` and `lease_s`: the process that took a tap has the first lease on its charge.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        owner: str,
        lease_s: float = 10.0,
        max_batch: int = 256,
        max_waiting: int = 20_000,
    ) -> None:
        self._pool, self._owner, self._lease_s = pool, owner, lease_s
        self._batcher = Batcher[Wish, Decision](self._place_all, max_batch=max_batch, max_waiting=max_waiting)
        self._finder = Batcher[Wish, Decision | None](self._find_all, max_batch=256, max_waiting=max_waiting)

    async def place(self, wish: Wish) -> Decision:
        """Durable when it returns Placed. Raises LedgerBusy, LedgerUnsure."""
        return await _answered(self._batcher, wish)

    async def find(self, wish: Wish) -> Decision | None:
        """What the wish's order id stands for already: Repeated, Refused `order_id_reused`, or None."""
        return await _answered(self._finder, wish)

    async def _find_all(self, wishes: list[Wish]) -> Sequence[Decision | None]:
        async with self._pool.acquire(timeout=5.0) as connection:
            reading = await _read(connection, [], [], [wish.order_id for wish in wishes], [])
        known = {order.id for order in reading.orders}
        found = [wish for wish in wishes if wish.order_id in known]
        decisions = dict(zip((w.order_id for w in found), decide(found, reading), strict=True))
        return [decisions.get(wish.order_id) for wish in wishes]

    async def _place_all(self, wishes: list[Wish]) -> Sequence[Decision | BaseException]:
        """One transaction; where its content makes it fail, one for each wish: none spoils another."""
        try:
            return await self._commit(wishes)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, StockMoved) as error:
            if len(wishes) == 1:
                return [error]
        return [result for wish in wishes for result in await self._alone(wish)]

    async def _alone(self, wish: Wish) -> Sequence[Decision | BaseException]:
        for _ in range(2):  # a second look: the order may have been written by another process meanwhile
            result = await self._place_all([wish])
            if not isinstance(result[0], BaseException):
                break
        return result

    async def _commit(self, wishes: list[Wish]) -> list[Decision]:
        variants = sorted({line.variant_id for wish in wishes for line in wish.lines})
        async with transaction(self._pool) as connection:
            await connection.execute(LOCK_STOCK, variants)
            reading = await _read(
                connection,
                list({wish.shop_id for wish in wishes}),
                variants,
                [wish.order_id for wish in wishes],
                list({wish.user_id for wish in wishes}),
            )
            decisions = decide(wishes, reading)
            placed = [decision for decision in decisions if isinstance(decision, Placed)]
            if placed:
                await self._write(connection, placed)
        return decisions

    async def _write(self, connection: Connection, placed: list[Placed]) -> None:
        rows = [_row(order) for order in placed]
        moved = await connection.fetch(_WRITE, rows, self._owner, self._lease_s)
        if len(moved) != len({line.variant_id for row in rows for line in row.lines}):
            raise StockMoved


async def _answered(batcher: Batcher[Wish, Result], wish: Wish) -> Result:
    try:
        return await batcher(wish)
    except BatcherFull as error:
        raise LedgerBusy from error
    except (*TROUBLE, StockMoved) as error:
        raise LedgerUnsure(f"{type(error).__name__}: {error}") from error


async def _read(
    connection: Connection, shops: list[str], variants: Sequence[str], orders: list[str], users: list[str]
) -> Reading:
    text = await connection.fetchval(_READ, shops, variants, users, orders)
    return msgspec.json.decode(text, type=Reading)


def _row(placed: Placed) -> _Order:
    wish, totals = placed.wish, placed.totals
    return _Order(
        id=wish.order_id,
        shop_id=wish.shop_id,
        show_id=wish.show_id,
        user_id=wish.user_id,
        currency=placed.terms.currency,
        subtotal_minor=totals.subtotal_minor,
        shipping_minor=totals.shipping_minor,
        tax_minor=totals.tax_minor,
        total_minor=totals.total_minor,
        address=placed.address.content,
        card_id=placed.card.id,
        digest=wish.digest(),
        show_first_name=wish.show_first_name,
        media_time=wish.media_time,
        idempotency_key=idempotency_key(wish.order_id, 1),
        customer_ref=placed.customer_ref,
        payment_method_ref=placed.card.payment_method_ref,
        lines=tuple(
            _Line(
                position=n,
                variant_id=taken.variant.id,
                title=taken.variant.title,
                variant_title=taken.variant.variant_title,
                quantity=taken.line.quantity,
                unit_price_minor=taken.variant.price_minor,
            )
            for n, taken in enumerate(placed.lines)
        ),
    )
