"""Auctions over HTTP: the public book, one's own standing, the staff's list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from overlay.frames import UserId
from overlay.ports import Actor
from overlay.selling import AnnounceAuction, Bid, OpenAuction
from server.checkout.auctions.wiring import auction_parts
from server.checkout.selling import Selling
from server.store.inventory import RedisInventory

from .conftest import Web
from .test_catalogue import add_product
from .test_staff import plan

HOST = Actor(UserId(str(uuid4())), None, "Host", frozenset({"host"}))


@dataclass
class Saleroom:
    """The selling of the room's processes, a show of the shop, and an auction that is open in it."""

    owner: httpx.AsyncClient
    selling: Selling
    show: str
    auction: str

    async def bid(self, actor: Actor, most: int) -> None:
        await self.selling.sell(self.show, actor, Bid(id="b", auction_id=self.auction, max_minor=most))


@pytest.fixture
async def saleroom(web: Web) -> AsyncIterator[Saleroom]:
    owner = await web.signed_in("owner")
    product, show = await add_product(owner), (await plan(owner))["id"]
    await owner.put(f"/api/staff/shows/{show}/items", json={"product_ids": [product["id"]]})
    variant = product["variants"][0]["id"]
    await owner.put(f"/api/staff/variants/{variant}/stock", json={"available": 3})
    pool, redis = web.deps.pool, web.deps.redis
    parts = auction_parts(pool, redis, RedisInventory(redis), lambda *_: None, owner="test", lease_s=5)
    selling = Selling(parts.counter)
    terms: dict[str, Any] = {"start_minor": 1_000, "increment_minor": 100, "duration_s": 60}
    announced = AnnounceAuction(id="a", variant_id=variant, reserve_minor=4_000, **terms)
    await selling.sell(show, HOST, announced)
    auction = str(await pool.fetchval("SELECT id FROM auctions WHERE show_id = $1", show))
    await selling.sell(show, HOST, OpenAuction(id="o", auction_id=auction))
    yield Saleroom(owner, selling, show, auction)
    await parts.teller.close()


async def bidder(web: Web) -> tuple[httpx.AsyncClient, Actor]:
    browser = await web.signed_in()
    user_id = (await browser.get("/api/me")).json()["user"]["id"]
    pool = web.deps.pool
    await pool.execute("INSERT INTO payment_customers VALUES ($1, $2)", user_id, f"cus_{user_id}")
    await pool.execute(
        "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)"
        " VALUES ($1, $2, $3, 'visa', '4242', 12, 2040)",
        *(uuid4(), user_id, f"pm_{user_id}"),
    )
    await pool.execute(
        "INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country)"
        " VALUES ($1, $2, 'Ada', 'Main Street 1', 'Berlin', '10115', 'DE')",
        *(uuid4(), user_id),
    )
    return browser, Actor(UserId(user_id), None, "Ada")


async def test_everybody_reads_the_book_and_nobody_a_name(web: Web, saleroom: Saleroom) -> None:
    _, ada = await bidder(web)
    _, bob = await bidder(web)
    await saleroom.bid(ada, 3_000)
    await saleroom.bid(bob, 2_000)
    guest = web.browser()
    answer = await guest.get(f"/api/auctions/{saleroom.auction}/book")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [line["amount_minor"] for line in found["bids"]] == [1_000, 2_000]
    assert (found["next"], found["show_id"]) == (None, saleroom.show)
    page = await guest.get(f"/api/auctions/{saleroom.auction}/book", params={"cursor": 2})
    assert [line["bid_n"] for line in page.json()["bids"]] == [1]
    assert str(ada.user_id) not in answer.text
    assert not any(f'"max_minor":{hidden}' in answer.text for hidden in (3_000, 2_000))

    shown = (await guest.get(f"/api/auctions/{saleroom.auction}")).json()["auction"]
    leader = found["bids"][0]["alias"]
    assert (shown["price_minor"], shown["has_reserve"], shown["leader"]) == (2_100, True, leader)
    assert (await guest.get(f"/api/auctions/{uuid4()}")).json()["code"] == "no_such_auction"


async def test_a_bidder_sees_where_they_stand(web: Web, saleroom: Saleroom) -> None:
    ada_browser, ada = await bidder(web)
    bob_browser, bob = await bidder(web)
    await saleroom.bid(ada, 3_000)
    await saleroom.bid(bob, 2_000)
    (mine,) = (await ada_browser.get("/api/me/auctions")).json()["auctions"]
    assert (mine["standing"]["state"], mine["standing"]["max_minor"]) == ("leading", 3_000)
    (his,) = (await bob_browser.get("/api/me/auctions")).json()["auctions"]
    assert (his["standing"]["state"], his["standing"]["max_minor"]) == ("outbid", 2_000)
    assert (await web.browser().get("/api/me/auctions")).status_code == 401


async def test_staff_see_the_reserve(web: Web, saleroom: Saleroom) -> None:
    path = f"/api/staff/shows/{saleroom.show}/auctions"
    (found,) = (await saleroom.owner.get(path)).json()["auctions"]
    assert found["auction"]["auction_id"] == saleroom.auction
    assert (found["reserve_minor"], found["offers"]) == (4_000, [])
    assert (await (await web.signed_in()).get(path)).status_code == 403
    unknown = await saleroom.owner.get(f"/api/staff/shows/{uuid4()}/auctions")
    assert unknown.json()["code"] == "no_such_show"


async def test_a_show_by_invitation_keeps_its_auctions(web: Web, saleroom: Saleroom) -> None:
    await saleroom.owner.patch(f"/api/staff/shows/{saleroom.show}", json={"visibility": "invited"})
    path = f"/api/auctions/{saleroom.auction}"
    assert (await web.browser().get(path)).json()["code"] == "pass_needed"
    assert (await saleroom.owner.get(f"{path}/book")).status_code == 200
