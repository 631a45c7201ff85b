"""The sample shop: people, pots, shows and a card that pays. Filled once; every start makes new stream keys.

Runs in a process of its own (`hawker demo-seed`), against the running stores and the payment simulator,
through the same functions as the shop's own routes. What is there already stays as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TextIO

import msgspec

from server.auth.tokens import digest, new_token
from server.config import Settings
from server.demo import handover
from server.demo.handover import Accounts, Seeded, WhipTarget
from server.shop.ids import ShopId
from server.store import addresses, cards, catalogue, images, people, shows, staff
from server.store.pool import Connection, Pool, open_pool, transaction
from server.store.product_images import add_product_image
from server.store.rows import new_id
from server.store.stock import StockStore
from server.tickets import STREAM_KEY_PREFIX

if TYPE_CHECKING:
    from server.auth.passwords import Passwords
    from server.images import Images

SHOP = "Atelier Hawker"
NAMES = {
    "owner": "Olga Meyer",
    "host": "Hana Sato",
    "producer": "Pablo Ruiz",
    "moderator": "Mona Haddad",
    "viewer": "Vera Lind",
}
ON_AIR, SECOND = "Evening kiln opening", "Your own show"
_PROVIDER_S = 10
_USED = "demo.sha256"  # in the data directory: which sign-ins the people have


@dataclass(frozen=True, slots=True)
class Form:
    """One variant: title, price and former price in cents, units, most a buyer may have (0: any)."""

    title: str
    price_minor: int
    available: int
    compare_at_minor: int | None = None
    buyer_limit: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    handle: str
    title: str
    description: str
    pot: str  # its name in ceramics
    alt: str
    forms: tuple[Form, ...]


PIECES = (
    Piece(
        "tide-vase",
        "Tide vase",
        "Thrown in two parts, joined at the shoulder and dipped once in our cobalt glaze.",
        "TIDE_VASE",
        "A tall cobalt-blue vase with a bare clay foot",
        (Form("Small, 22 cm", 5400, 40), Form("Large, 34 cm", 8900, 25, compare_at_minor=10900)),
    ),
    Piece(
        "morning-mug",
        "Morning mug",
        "A quiet 320 ml with a handle for four fingers. Dishwasher-safe, and the bare foot is sanded smooth.",
        "MORNING_MUG",
        "A sand-coloured mug with a round handle",
        (Form("Sand", 2800, 120), Form("Cobalt", 2800, 80), Form("Moss", 2800, 60)),
    ),
    Piece(
        "kiln-teapot",
        "Kiln teapot",
        "Nine hundred millilitres, a spout that does not drip and a lid that stays on. Strainer built in.",
        "KILN_TEAPOT",
        "A moss-green teapot with a small clay knob on its lid",
        (Form("", 7400, 18, compare_at_minor=8600),),
    ),
    Piece(
        "harbour-bowl",
        "Harbour bowl",
        "Wide enough for a salad, deep enough for ramen. The glaze pools darker at the bottom.",
        "HARBOUR_BOWL",
        "A wide sky-blue bowl on a clay foot",
        (Form("Single", 3200, 64), Form("Set of four", 11200, 12, compare_at_minor=12800)),
    ),
    Piece(
        "ember-holder",
        "Ember candle holder",
        "For one tall candle. Five came out of tonight's kiln with this red.",
        "EMBER_HOLDER",
        "A flame-red candle holder with a slender neck",
        (Form("", 3600, 5, buyer_limit=2),),
    ),
    Piece(
        "dune-planter",
        "Dune planter",
        "Breathes through its unglazed lower half; comes with a saucer you do not see.",
        "DUNE_PLANTER",
        "A planter, chalk white above and bare terracotta below",
        (Form("16 cm", 4200, 30), Form("21 cm", 5600, 22)),
    ),
    Piece(
        "salt-cellar",
        "Salt cellar",
        "Lives next to the stove. The lid is ground to fit, so the salt stays dry.",
        "SALT_CELLAR",
        "A small ink-dark jar with a lid",
        (Form("", 2400, 48),),
    ),
    Piece(
        "moon-jar",
        "Moon jar, one of one",
        "Two hemispheres, one afternoon, no second try. There is exactly one.",
        "MOON_JAR",
        "A round, chalk-white moon jar",
        (Form("", 24000, 1, buyer_limit=1),),
    ),
)  # fmt: skip


async def run(settings: Settings, out: TextIO) -> None:
    """Fill what is missing, make new stream keys, print `handover.Seeded` as one line of JSON."""
    accounts = handover.read_accounts(settings.data_dir)
    async with open_pool(settings.database_url, max_size=2) as pool:
        seed = _Seed(settings, pool, datetime.now(UTC))
        seeded = await seed.fill(accounts)
    print(msgspec.json.encode(seeded).decode(), file=out, flush=True)


class _Seed:
    def __init__(self, settings: Settings, pool: Pool, now: datetime) -> None:
        self._settings, self._pool, self._now = settings, pool, now

    async def fill(self, accounts: Accounts) -> Seeded:
        shop_id = await self._shop()
        ids = await self._people(shop_id, accounts)
        products = await self._catalogue(shop_id)
        on_air, second = await self._shows(shop_id, ids["host"], products)
        await self._address(ids["viewer"])
        await self._card(ids["viewer"], accounts.viewer.email)
        return await self._seeded(on_air, second)

    async def _shop(self) -> str:
        async with transaction(self._pool) as db:
            shop = await staff.the_shop(db)
            if shop is None:
                shop = await staff.add_shop(db, SHOP, contact_email="hello@demo.example")
                terms = {"tax_rate_bp": 1900, "flat_shipping_minor": 490}
                await staff.change_shop(db, shop.id, terms)
        return shop.id

    async def _people(self, shop_id: str, accounts: Accounts) -> dict[str, str]:
        """Ids by role. The passwords become those of demo.json where that file is not the one used last."""
        digest_of = hashlib.sha256(msgspec.json.encode([shop_id, accounts])).hexdigest()
        used = self._settings.data_dir / _USED
        if used.exists() and used.read_text() == digest_of:
            async with transaction(self._pool) as db:
                there = {
                    role: await people.user_by_email(db, getattr(accounts, role).email)
                    for role in handover.ROLES
                }
            if all(there.values()):
                return {role: user.id for role, user in there.items() if user}
        ids = await self._all_people(shop_id, accounts)
        used.write_text(digest_of)
        return ids

    async def _all_people(self, shop_id: str, accounts: Accounts) -> dict[str, str]:
        from server.auth.passwords import Passwords

        hasher = Passwords(workers=2)
        try:
            people_of = [
                self._person(shop_id, role, getattr(accounts, role), hasher) for role in handover.ROLES
            ]
            return dict(zip(handover.ROLES, await asyncio.gather(*people_of), strict=True))
        finally:
            hasher.close()

    async def _person(self, shop_id: str, role: str, account: handover.SignIn, hasher: Passwords) -> str:
        async with transaction(self._pool) as db:
            user = await people.user_by_email(db, account.email)
        if user is not None and await hasher.matches(user.password_hash, account.password):
            return user.id
        password_hash = await hasher.hash(account.password)
        async with transaction(self._pool) as db:
            if user is not None:
                await people.set_password(db, user.id, password_hash)
                return user.id
            user = await people.add_user(db, account.email, password_hash, NAMES[role], verified_at=self._now)
            assert user is not None
            if role != "viewer":
                await staff.add_member(db, shop_id, user.id, role)
        return user.id

    async def _catalogue(self, shop_id: str) -> list[str]:
        """Product ids in the order of PIECES."""
        async with transaction(self._pool) as db:
            there = [await catalogue.product_by_handle(db, shop_id, piece.handle) for piece in PIECES]
        known = [product.id for product in there if product is not None]
        if len(known) == len(PIECES):
            return known
        from server.images import Images, ObjectImages

        pictures = Images(ObjectImages.open(self._settings.media_store_url, self._settings.data_dir))
        try:
            return [await self._piece(shop_id, piece, pictures) for piece in PIECES]
        finally:
            pictures.close()

    async def _piece(self, shop_id: str, piece: Piece, pictures: Images) -> str:
        async with transaction(self._pool) as db:
            known = await catalogue.product_by_handle(db, shop_id, piece.handle)
        if known is not None:
            return known.id
        from server.demo import ceramics

        raw = ceramics.jpeg(getattr(ceramics, piece.pot))
        rendered, image_id = await pictures.render(raw), images.new_image_id()
        await pictures.keep(image_id, rendered)
        fields = {
            "handle": piece.handle,
            "title": piece.title,
            "description": piece.description,
            "vendor": SHOP,
        }
        async with transaction(self._pool) as db:
            product_id = await catalogue.add_product(db, shop_id, fields)
            image = await images.add_image(
                db, shop_id, image_id, hashlib.sha256(raw).digest(), rendered.width, rendered.height, len(raw)
            )
            await add_product_image(db, product_id, image.id, piece.alt)
            made = [(await self._variant(db, product_id, piece, form), form) for form in piece.forms]
        stock = StockStore(self._pool)
        for variant_id, form in made:
            await stock.set_available(ShopId(shop_id), variant_id, form.available, None)
        return product_id

    async def _variant(self, db: Connection, product_id: str, piece: Piece, form: Form) -> str:
        sku = f"{piece.handle}-{form.title.split(',')[0].split(' ')[0].lower()}".rstrip("-").upper()
        return await catalogue.add_variant(
            db,
            product_id,
            {
                "title": form.title,
                "sku": sku,
                "price_minor": form.price_minor,
                "compare_at_minor": form.compare_at_minor,
                "buyer_limit": form.buyer_limit,
            },
        )

    async def _shows(self, shop_id: str, host_id: str, products: list[str]) -> tuple[shows.Show, shows.Show]:
        """The show on air and the second one. One that was ended since is followed by a new one."""
        async with transaction(self._pool) as db:
            there = {
                show.title: show for show in await shows.all_shows(db, shop_id) if show.state != shows.ENDED
            }
            ever = {show.title for show in await shows.all_shows(db, shop_id)}

            async def wanted(title: str, about: str, in_hours: float, items: list[str]) -> shows.Show:
                if title in there:
                    return there[title]
                starts_at = self._now + timedelta(hours=in_hours)
                show = await shows.add_show(db, shop_id, title, starts_at, description=about, host_id=host_id)
                await shows.set_items(db, show.id, shop_id, items)
                first = await catalogue.product(db, items[0])
                if first and first.images:
                    await shows.change_show(db, show.id, {"cover_image_id": first.images[0].id})
                return show

            on_air = await wanted(
                ON_AIR, "Hana opens tonight's kiln. Everything you see is warm and one tap away.", 0, products
            )
            second = await wanted(
                SECOND, "An empty stage: go live from the studio, OBS or any WHIP encoder.", 1, products[:4]
            )
            for title, about, hours, items in (
                ("Tea table, set live", "Four settings, one teapot, your questions.", 26, products[1:4]),
                ("Glaze lab", "What cobalt does at 1240 °C, and why.", 74, products[4:7]),
            ):
                if title not in ever:
                    await wanted(title, about, hours, items)
            if on_air.state == shows.SCHEDULED:
                await shows.set_show_state(db, on_air.id, shows.LIVE, self._now)
                await shows.set_pinned(db, on_air.id, products[0], self._now)
        return on_air, second

    async def _address(self, user_id: str) -> None:
        async with transaction(self._pool) as db:
            if not await addresses.addresses_of(db, user_id):
                home = {
                    "name": NAMES["viewer"],
                    "line1": "Lindenstraße 12",
                    "line2": "",
                    "city": "Berlin",
                    "region": "",
                    "postal_code": "10969",
                    "country": "DE",
                    "phone": "",
                    "is_default": True,
                }
                await addresses.add_address(db, user_id, home)

    async def _card(self, user_id: str, email: str) -> None:
        """A card that pays, saved as a buyer's browser would; not where Stripe itself is configured."""
        settings = self._settings
        async with transaction(self._pool) as db:
            if not settings.stripe_api_url or await cards.cards_of(db, user_id):
                return
        from server.payments.gateway import StripeGateway

        gateway = StripeGateway(settings.stripe_secret_key, base_url=settings.stripe_api_url)
        try:
            customer = await gateway.create_customer(user_id, email, f"customer:{user_id}")
            setup = await gateway.create_setup_intent(customer.id, f"setup:{new_id()}")
            await self._confirm_in_browser(setup.id, setup.client_secret)
            saved = await gateway.retrieve_setup_intent(setup.id)
            assert saved.payment_method is not None
            card = await gateway.retrieve_payment_method(saved.payment_method)
        finally:
            await gateway.close()
        async with transaction(self._pool) as db:
            await cards.keep_customer(db, user_id, customer.id)
            await cards.add_card(
                db, user_id, card.payment_method, card.brand, card.last4, card.exp_month, card.exp_year
            )

    async def _confirm_in_browser(self, setup_intent: str, client_secret: str) -> None:
        import aiohttp

        url = f"{self._settings.stripe_api_url}/v1/setup_intents/{setup_intent}/confirm"
        form = {
            "key": self._settings.stripe_publishable_key,
            "client_secret": client_secret,
            "payment_method": "pm_card_visa",
        }
        timeout = aiohttp.ClientTimeout(total=_PROVIDER_S)
        async with aiohttp.ClientSession(timeout=timeout) as browser, browser.post(url, data=form) as answer:
            answer.raise_for_status()

    async def _seeded(self, on_air: shows.Show, second: shows.Show) -> Seeded:
        web = self._settings.public_url
        return Seeded(
            show_id=on_air.id,
            viewer_url=f"{web}/shows/{on_air.id}",
            studio_url=f"{web}/studio/{on_air.id}",
            console_url=f"{web}/console/{on_air.id}",
            whep_url=f"{web}/whep/{on_air.playback_id}",
            whip=await self._whip(second),
            programme=await self._whip(on_air),
        )

    async def _whip(self, show: shows.Show) -> WhipTarget:
        key = new_token(STREAM_KEY_PREFIX)
        async with transaction(self._pool) as db:
            await shows.rotate_stream_key(db, show.id, digest(key), key[-4:], self._now)
        web = self._settings.public_url
        return WhipTarget(f"{web}/whip", key, show.id, f"{web}/whep/{show.playback_id}")
