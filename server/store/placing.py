"""Writing orders down (T1): a batch in one transaction, so that hot stock costs one commit for many taps.

Theory: the stock row of a hot variant is what everybody waits for, so as little as possible is done under its
lock. A batch is decided from what can be read without it, its orders are written, and only then the stock is
locked, looked at again, and moved. Where that second look would have decided otherwise, all of it is rolled
back and done once more under the lock. The decision itself is plain Python (see shop.allocation).

Locks are taken in one order everywhere: an order's row, then stock rows in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import asyncpg
import msgspec

from server.checkout.ports import LedgerBusy, LedgerUnsure
from server.shop.allocation import (
    Bought,
    BuyerNow,
    Decision,
    Existing,
    Placed,
    Reading,
    Refused,
    ShopNow,
    VariantNow,
    decide,
    stands,
)
from server.shop.wish import Wish
from server.store import offers
from server.store.batch import Batcher, BatcherFull
from server.store.database import TROUBLE
from server.store.pool import ACQUIRE_TIMEOUT_S, Connection, Pool
from server.store.sql import statement

Result = TypeVar("Result")


class StockMoved(Exception):
    """A stock row that was locked is not what it was: nothing of the batch was written."""


class _NotPlaced(Exception):
    """Nothing was written for an offer's order; its units stay set aside where they were."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(type(decision).__name__)
        self.decision = decision


class _Outdated(Exception):
    """What the batch was decided from is not so any more: nothing of it was written."""


# What one wish's content can do to its whole batch. All of it was rolled back.
_SPOILT = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.DeadlockDetectedError,
    StockMoved,
)

LOCK_STOCK = "SELECT FROM stock WHERE variant_id = ANY($1::uuid[]) ORDER BY variant_id FOR UPDATE"

_AHEAD, _READ = statement("placing_ahead"), statement("placing_read")

_WRITE_ORDERS, _HOLD = statement("placing_orders"), statement("placing_stock")

_MARK_DROP = """
UPDATE orders o SET drop_id = d.drop_id, drop_position = d.position
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS d (order_id, drop_id, position) WHERE o.id = d.order_id
"""

_MARK_FLASH = """
UPDATE order_lines l SET flash_id = f.flash_id
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS f (order_id, variant_id, flash_id)
WHERE l.order_id = f.order_id AND l.variant_id = f.variant_id
"""

# Of two orders of a drop with one position, the later gets the next that is free. $1 orders just written.
_NUMBER = """
UPDATE orders o SET drop_position = n.last + n.rank
FROM (SELECT o.id, row_number() OVER (PARTITION BY o.drop_id ORDER BY o.drop_position, o.id) AS rank,
             (SELECT max(l.drop_position) FROM orders l WHERE l.drop_id = o.drop_id) AS last
      FROM orders o WHERE o.id = ANY($1::uuid[]) AND EXISTS (
        SELECT FROM orders b WHERE b.drop_id = o.drop_id AND b.drop_position = o.drop_position
          AND b.id <> o.id AND (b.id < o.id OR b.id <> ALL($1::uuid[])))) n
WHERE o.id = n.id RETURNING o.id::text, o.drop_position
"""

_encode = msgspec.json.Encoder().encode


class _Ahead(msgspec.Struct, frozen=True):
    """What no other order changes."""

    shops: list[ShopNow]
    buyers: list[BuyerNow]


class _Contested(msgspec.Struct, frozen=True):
    """What other orders change, or the shop while it sells."""

    variants: list[VariantNow]
    bought: list[Bought]
    orders: list[Existing]
    now_ms: int


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
        self._batcher = Batcher[Wish, Decision](
            self._place_all, max_batch=max_batch, max_waiting=max_waiting, parallel=3
        )
        self._finder = Batcher[Wish, Decision | None](self._find_all, max_batch=256, max_waiting=max_waiting)

    async def place(self, wish: Wish) -> Decision:
        """Durable when it returns Placed. Raises LedgerBusy, LedgerUnsure."""
        return await _answered(self._by_offer if wish.offer_id else self._batcher, wish)

    async def find(self, wish: Wish) -> Decision | None:
        """What the wish's order id stands for already: Repeated, Refused `order_id_reused`, or None."""
        return await _answered(self._finder, wish)

    async def _find_all(self, wishes: list[Wish]) -> Sequence[Decision | None]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            there = await _contested(connection, [], [], [wish.order_id for wish in wishes])
        known = {order.id for order in there.orders}
        found = [wish for wish in wishes if wish.order_id in known]
        reading = Reading(shops=[], variants=[], buyers=[], bought=[], orders=there.orders)
        decisions = dict(zip((w.order_id for w in found), decide(found, reading), strict=True))
        return [decisions.get(wish.order_id) for wish in wishes]

    async def _place_all(self, wishes: list[Wish]) -> Sequence[Decision | BaseException]:
        """One transaction; where its content makes it fail, one for each wish: none spoils another."""
        try:
            return await self._commit(wishes)
        except _SPOILT as error:
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
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            try:
                return await self._ahead_of_lock(connection, wishes)
            except _Outdated:
                return await self._under_lock(connection, wishes)

    async def _ahead_of_lock(self, connection: Connection, wishes: list[Wish]) -> list[Decision]:
        async with connection.transaction():
            before = await _reading(connection, wishes)
            decisions = decide(wishes, before)
            placed = [decision for decision in decisions if isinstance(decision, Placed)]
            if placed:
                await self._write_orders(connection, placed)
                chosen = [order.wish for order in placed]
                await _lock(connection, chosen)
                own = [wish.order_id for wish in chosen]
                now = await _contested(connection, _variants(wishes), _buyers(wishes), [], own)
                if not stands(placed, before, now.variants, now.bought):
                    raise _Outdated
                await _hold(connection, placed)
                decisions = await _numbered(connection, decisions)
        return decisions

    async def _under_lock(self, connection: Connection, wishes: list[Wish]) -> list[Decision]:
        async with connection.transaction():
            await _lock(connection, wishes)
            decisions = decide(wishes, await _reading(connection, wishes))
            placed = [decision for decision in decisions if isinstance(decision, Placed)]
            if placed:
                await self._write_orders(connection, placed)
                await _hold(connection, placed)
                decisions = await _numbered(connection, decisions)
        return decisions

    async def _by_offer(self, wish: Wish) -> Decision:
        """By a waitlist's offer, whose units are put back on sale and taken again in one transaction."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            try:
                async with connection.transaction():
                    return await self._place_offered(connection, wish)
            except _NotPlaced as rolled_back:
                return rolled_back.decision

    async def _place_offered(self, connection: Connection, wish: Wish) -> Decision:
        await _lock(connection, [wish])
        offer = await offers.take(connection, wish)
        reading = await _reading(connection, [wish])
        if offer is None and not reading.orders:
            raise _NotPlaced(Refused("offer_over"))
        decision = decide([wish], offers.for_holder(reading, offer) if offer else reading)[0]
        if offer is None or not isinstance(decision, Placed):
            raise _NotPlaced(decision)
        await self._write_orders(connection, [decision])
        await _hold(connection, [decision])
        await offers.bought(connection, offer, wish.order_id)
        return replace(decision, unclaimed=offer.units - wish.lines[0].quantity)

    async def _write_orders(self, connection: Connection, placed: list[Placed]) -> None:
        orders = zip(*map(_order, placed), strict=True)
        lines = zip(*(line for order in placed for line in _lines(order)), strict=True)
        await connection.execute(_WRITE_ORDERS, *orders, *lines, self._owner, self._lease_s)
        await _mark(connection, placed)


async def _answered(work: Callable[[Wish], Awaitable[Result]], wish: Wish) -> Result:
    try:
        return await work(wish)
    except BatcherFull as error:
        raise LedgerBusy from error
    except (*TROUBLE, StockMoved) as error:
        raise LedgerUnsure(f"{type(error).__name__}: {error}") from error


def _variants(wishes: list[Wish]) -> list[str]:
    return sorted({line.variant_id for wish in wishes for line in wish.lines})


def _buyers(wishes: list[Wish]) -> list[str]:
    return list({wish.user_id for wish in wishes})


async def _lock(connection: Connection, wishes: list[Wish]) -> None:
    await connection.execute(LOCK_STOCK, _variants(wishes))


async def _reading(connection: Connection, wishes: list[Wish]) -> Reading:
    shops, buyers = list({wish.shop_id for wish in wishes}), _buyers(wishes)
    ahead = msgspec.json.decode(await connection.fetchval(_AHEAD, shops, buyers), type=_Ahead)
    now = await _contested(connection, _variants(wishes), buyers, [wish.order_id for wish in wishes])
    return Reading(
        shops=ahead.shops,
        variants=now.variants,
        buyers=ahead.buyers,
        bought=now.bought,
        orders=now.orders,
        now_ms=now.now_ms,
    )


async def _contested(
    connection: Connection,
    variants: Sequence[str],
    buyers: Sequence[str],
    orders: Sequence[str],
    own: Sequence[str] = (),
) -> _Contested:
    """`own`: orders that this transaction has written, which don't count as bought."""
    return msgspec.json.decode(
        await connection.fetchval(_READ, variants, buyers, orders, own), type=_Contested
    )


async def _mark(connection: Connection, placed: list[Placed]) -> None:
    """Note which drop and which flash prices orders were bought under: in most batches none."""
    dropped = [(o.wish.order_id, o.drop_id, o.position) for o in placed if o.drop_id]
    flashed = [
        (o.wish.order_id, t.variant.id, t.variant.flash.id)
        for o in placed
        for t in o.lines
        if t.variant.flash
    ]
    if dropped:
        await connection.execute(_MARK_DROP, *zip(*dropped, strict=True))
    if flashed:
        await connection.execute(_MARK_FLASH, *zip(*flashed, strict=True))


async def _hold(connection: Connection, placed: list[Placed]) -> None:
    lines = [(o.wish.order_id, t.variant.id, t.line.quantity) for o in placed for t in o.lines]
    moved = await connection.fetch(_HOLD, *zip(*lines, strict=True))
    if len(moved) != len({variant_id for _, variant_id, _ in lines}):
        raise StockMoved


async def _numbered(connection: Connection, decisions: list[Decision]) -> list[Decision]:
    """A gate that was wiped with taps under way counts them anew: nobody is told another's position. The
    stock rows are locked."""
    dropped = {d.wish.order_id: d for d in decisions if isinstance(d, Placed) and d.position}
    moved = await connection.fetch(_NUMBER, list(dropped)) if dropped else []
    for order_id, position in moved:
        order = dropped[order_id]
        decisions[decisions.index(order)] = replace(order, wish=replace(order.wish, position=position))
    return decisions


def _order(placed: Placed) -> tuple[Any, ...]:
    """An order's row as placing_orders.sql takes it."""
    wish, totals = placed.wish, placed.totals
    return (
        wish.order_id,
        wish.shop_id,
        wish.show_id,
        wish.user_id,
        placed.terms.currency,
        totals.subtotal_minor,
        totals.shipping_minor,
        totals.tax_minor,
        totals.total_minor,
        _encode(placed.address.content).decode(),
        placed.card.id,
        bytes.fromhex(placed.digest),
        wish.show_first_name,
        wish.media_time,
        idempotency_key(wish.order_id, 1),
        placed.customer_ref,
        placed.card.payment_method_ref,
    )


def _lines(placed: Placed) -> list[tuple[Any, ...]]:
    return [
        (
            placed.wish.order_id,
            position,
            taken.variant.id,
            taken.variant.title,
            taken.variant.variant_title,
            taken.line.quantity,
            taken.variant.now_minor,
        )
        for position, taken in enumerate(placed.lines)
    ]
