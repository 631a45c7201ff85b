"""What a page must know before anything else: the shop, how it is paid, where the talk is."""

from __future__ import annotations

from server.problems import Problem
from server.routes.operation import Call, Operation
from server.routes.schemas import View
from server.store import staff
from server.store.pool import transaction


class ShopView(View, frozen=True):
    id: str
    name: str
    slug: str
    currency: str
    country: str
    tax_rate_bp: int
    flat_shipping_minor: int


class Payments(View, frozen=True):
    """`provider` is demo or stripe; `api_url` where the demo's payment pages talk to."""

    provider: str
    publishable_key: str
    api_url: str | None


class IceServer(View, frozen=True):
    urls: tuple[str, ...]
    username: str
    credential: str


class Config(View, frozen=True):
    shop: ShopView
    payments: Payments
    overlay_url: str
    demo: bool
    ice_servers: tuple[IceServer, ...]


async def the_shop(call: Call) -> staff.Shop:
    """The shop; Problem `no_shop` before there is one."""
    async with transaction(call.deps.pool) as db:
        shop = await staff.the_shop(db)
    if shop is None:
        raise Problem("no_shop")
    return shop


async def config(call: Call) -> Config:
    shop, settings = await the_shop(call), call.deps.settings
    return Config(
        shop=shop_view(shop),
        payments=Payments(
            provider="demo" if settings.stripe_api_url else "stripe",
            publishable_key=settings.stripe_publishable_key,
            api_url=settings.stripe_api_url or None,
        ),
        overlay_url=settings.overlay_public_url,
        demo=settings.demo,
        ice_servers=tuple(map(IceServer.of, settings.ice_servers)),
    )


def shop_view(shop: staff.Shop) -> ShopView:
    return ShopView.of(shop)


OPERATIONS = (
    Operation(
        "GET", "/api/config", config, "The shop, its payments and where its live room is", errors=("no_shop",)
    ),
)
