"""The shop as a room sees it: overlay.ports.Shop over the stores and the checkout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from overlay.frames import ProductCard, ShowId, ShowState, UserId, VariantCard
from overlay.messages import Buy, OrderView
from overlay.ports import Actor, PriceNow, Refusal, RoomSeed, SellingAnswer
from overlay.selling import SellingCommand
from server.checkout.answers import refusal
from server.checkout.ports import NoSuchVariant, StoreTrouble
from server.checkout.selling import Selling
from server.checkout.shopkeeper import Shopkeeper
from server.checkout.tap import Tap
from server.problems import Problem
from server.shop import ids
from server.shop.ids import canonical
from server.shop.wish import Wish, WishLine
from server.store import catalogue, shows
from server.store.database import Database
from server.store.pool import Connection, Pool

IMAGE_WIDTH = 640
NO_ID = "00000000-0000-0000-0000-000000000000"
_SHOPS_KEPT = 1_000


def image_url(image_id: str) -> str:
    return f"/media/{image_id}/{IMAGE_WIDTH}.webp"


def card_of(product: catalogue.Product, currency: str) -> ProductCard:
    """What a pin shows of a product."""
    image = product.images[0] if product.images else None
    return ProductCard(
        product_id=product.id,
        title=product.title,
        currency=currency,
        variants=tuple(
            VariantCard(
                variant_id=variant.id,
                title=variant.title,
                price_minor=variant.price_minor,
                available=variant.available,
                compare_at_minor=variant.compare_at_minor,
                buyer_limit=variant.buyer_limit,
            )
            for variant in product.variants
        ),
        image_url=image_url(image.id) if image else None,
        image_alt=image.alt if image else "",
        handle=product.handle,
    )


class RoomShop:
    """Every method raises Refusal: `unavailable` where a store doesn't answer, and those it names."""

    def __init__(
        self,
        pool: Pool,
        tap: Tap,
        shopkeeper: Shopkeeper,
        selling: Selling,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database, self._tap, self._shopkeeper, self._now = Database(pool), tap, shopkeeper, now
        self._selling = selling
        self._shop_of: dict[str, ids.ShopId] = {}
        self._asking = asyncio.Lock()

    async def seed(self, show_id: ShowId) -> RoomSeed:
        """Raises Refusal `no_such_show`."""
        async with self._connection() as connection:
            show = await _show(connection, show_id)
            self._remember(show)
            run = [item.product_id for item in await shows.items(connection, show_id)]
            products = await catalogue.products(connection, run)
            pinned = await self._pinned_card(connection, show)
        stock = {variant.id: variant.available for product in products for variant in product.variants}
        return await self._selling.seed(show_id, RoomSeed(ShowState(show.state), pinned, stock))

    async def card(self, show_id: ShowId, product_id: str) -> ProductCard:
        """Raises Refusal `no_such_show`, `not_in_show`."""
        wanted = canonical(product_id)
        async with self._connection() as connection:
            show = await _show(connection, show_id)
            run = {item.product_id for item in await shows.items(connection, show_id)}
            product = await catalogue.product(connection, wanted) if wanted in run and wanted else None
            if product is None or product.state != "active":
                raise Refusal("not_in_show", "This product is not in the show's run-of-show.")
            return card_of(product, await _currency(connection, show.shop_id))

    async def pinned(self, show_id: ShowId, product_id: str | None, by: UserId) -> None:
        """Raises Refusal `no_such_show`."""
        async with self._connection() as connection:
            await _show(connection, show_id)
            await shows.set_pinned(connection, show_id, product_id, self._now())

    async def set_stock(self, show_id: ShowId, variant_id: str, available: int, by: UserId) -> int:
        """Raises Refusal `no_such_show`, `no_such_variant`."""
        async with self._variant(show_id, variant_id) as (shop_id, variant):
            await self._shopkeeper.set_stock(shop_id, variant, available, by)
            return (await self._shopkeeper.on_air(variant)).available

    async def set_price(self, show_id: ShowId, variant_id: str, price_minor: int, by: UserId) -> PriceNow:
        """Raises Refusal `no_such_show`, `no_such_variant`."""
        async with self._variant(show_id, variant_id) as (shop_id, variant):
            await self._shopkeeper.set_price(shop_id, variant, price_minor, by)
            now = await self._shopkeeper.on_air(variant)
            return PriceNow(now.price_minor, now.compare_at_minor)

    async def set_show_state(self, show_id: ShowId, state: ShowState, by: UserId) -> None:
        """Raises Refusal `no_such_show`, `wrong_state`."""
        async with self._connection() as connection:
            try:
                await shows.set_show_state(connection, show_id, state.value, self._now(), by)
            except Problem as problem:
                code = "wrong_state" if problem.code == "wrong_show_state" else problem.code
                raise Refusal(code, str(problem)) from problem

    async def buy(self, show_id: ShowId, actor: Actor, command: Buy) -> OrderView:
        """Raises Refusal with the codes of a tap (see checkout.answers)."""
        if actor.user_id is None:
            raise refusal("not_signed_in")
        return await self._tap.buy(_wish(show_id, await self._shop(show_id), actor.user_id, command))

    async def sell(self, show_id: ShowId, actor: Actor, command: SellingCommand) -> SellingAnswer:
        """Raises Refusal with the codes that the command names, `unavailable`."""
        try:
            return await self._selling.sell(show_id, actor, command)
        except StoreTrouble as error:
            raise _unavailable() from error

    async def _shop(self, show_id: str) -> ids.ShopId:
        """A show never changes its shop, so that is asked once; not by each of a crowd that taps at once."""
        if (known := self._shop_of.get(show_id)) is not None:
            return known
        async with self._asking:
            if (known := self._shop_of.get(show_id)) is not None:
                return known
            async with self._connection() as connection:
                return self._remember(await _show(connection, show_id))

    def _remember(self, show: shows.Show) -> ids.ShopId:
        if len(self._shop_of) >= _SHOPS_KEPT:
            self._shop_of.clear()
        self._shop_of[show.id] = ids.ShopId(show.shop_id)
        return self._shop_of[show.id]

    async def _pinned_card(self, connection: Connection, show: shows.Show) -> ProductCard | None:
        if show.pinned_product is None:
            return None
        product = await catalogue.product(connection, show.pinned_product)
        return card_of(product, await _currency(connection, show.shop_id)) if product else None

    @asynccontextmanager
    async def _variant(self, show_id: str, variant_id: str) -> AsyncIterator[tuple[ids.ShopId, str]]:
        known = canonical(variant_id)
        try:
            if known is None:
                raise NoSuchVariant(variant_id)
            yield await self._shop(show_id), known
        except NoSuchVariant as error:
            raise Refusal("no_such_variant", "The shop has no such variant.") from error
        except StoreTrouble as error:
            raise _unavailable() from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self._database.transaction() as connection:
                yield connection
        except StoreTrouble as error:
            raise _unavailable() from error


def _unavailable() -> Refusal:
    reason = "The shop's database doesn't answer right now. Try again in a moment."
    return Refusal("unavailable", reason, retry_after_ms=1_000)


async def _show(connection: Connection, show_id: str) -> shows.Show:
    wanted = canonical(show_id)
    show = await shows.show(connection, wanted) if wanted else None
    if show is None:
        raise Refusal("no_such_show", "There is no such show.")
    return show


async def _currency(connection: Connection, shop_id: str) -> str:
    return str(await connection.fetchval("SELECT currency FROM shops WHERE id = $1", shop_id))


def _wish(show_id: str, shop_id: ids.ShopId, user_id: str, command: Buy) -> Wish:
    order_id = canonical(command.order_id)
    if order_id is None:
        raise refusal("bad_order", detail="Its order id must be a UUID.")
    return Wish(
        order_id=ids.OrderId(order_id),
        shop_id=shop_id,
        show_id=ids.ShowId(show_id),
        user_id=ids.UserId(user_id),
        lines=tuple(
            WishLine(
                # an id that is none matches no variant
                ids.VariantId(canonical(line.variant_id) or NO_ID),
                line.quantity,
                line.unit_price_minor,
            )
            for line in command.lines
        ),
        card_id=command.card_id,
        address_id=command.address_id,
        show_first_name=command.show_first_name,
        media_time=command.media_time,
        # an id that is none is no offer's
        offer_id=(canonical(command.offer_id) or NO_ID) if command.offer_id else None,
    )
