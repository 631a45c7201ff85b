"""Every page, as a phone and a desk see it, by day and by night: no accessibility rule of axe is broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Demo, Person, violations
from tests.browser.selling_stage import (
    VIEWER,
    Stage,
    auction,
    bid,
    bids_placed,
    card_of,
    drop,
    empty_room,
    flash,
    now_ms,
)
from tests.browser.test_show import products_of

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
READY = "main h1, main h2, [data-testid=show], [data-testid=studio], [data-testid=console]"

PAGES = {
    "front": (None, "/"),
    "sign-in": (None, "/account/sign-in"),
    "storefront": (None, "/products"),
    "product": (None, "/products/morning-mug"),
    "viewer, guest": (None, "/shows/{show}"),
    "viewer": ("viewer", "/shows/{show}"),
    "lobby": ("viewer", "/shows/{ahead}"),
    "account": ("viewer", "/account"),
    "waitlist": ("viewer", "/account/waitlist"),
    "auctions": ("viewer", "/account/auctions"),
    "orders": ("viewer", "/account/orders"),
    "studio": ("host", "/studio/{second}"),
    "console": ("producer", "/console/{show}"),
    "console of a moderator": ("moderator", "/console/{show}"),
    "office": ("owner", "/office"),
    "catalogue": ("owner", "/office/catalogue"),
    "orders of the shop": ("owner", "/office/orders"),
    "show of the shop": ("owner", "/office/shows/{second}"),
    "team": ("owner", "/office/people"),
    "settings": ("owner", "/office/settings"),
    "activity": ("owner", "/office/activity"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_rule(name: str, demo: Demo, visit: Visit) -> None:
    role, path = PAGES[name]
    shows = {"show": demo.report["show_id"], "second": demo.report["whip"]["show_id"]}
    if name == "lobby":
        shows["ahead"] = show_ahead(visit, shows["show"])
    page = visit(role, viewport=PHONE, scheme="dark").open(path.format(**shows))
    page.wait_for_selector(READY, state="attached")
    breaks_no_rule(page)
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    breaks_no_rule(page)


def breaks_no_rule(page: Page) -> None:
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), "scrolls sideways"


def show_ahead(visit: Visit, like: str) -> str:
    """One that is still to come, with the products of another."""
    producer = visit("producer")
    plan = {"title": "Ahead", "starts_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    show = producer.api("POST", "/api/staff/shows", plan).json()["id"]
    products = [product["id"] for product in products_of(producer, like)]
    assert producer.api("PUT", f"/api/staff/shows/{show}/items", {"product_ids": products}).ok
    return str(show)


def test_what_is_on_air_is_seen_without_scrolling(visit: Visit) -> None:
    for viewport in (PHONE, DESKTOP):
        front = visit(viewport=viewport).open("/")
        expect(front.get_by_test_id("live-card").first.get_by_text("Watch")).to_be_in_viewport()


# --- states that a room comes to: its frames are the test's own -----------------------------------------

Products = list[dict[str, Any]]
BIDS = [bid(1, "Amber Fox", 1000), bid(2, "Quiet Heron", 1300), bid(3, "Amber Fox", 1400)]
SELLER = [
    "pin",
    "unpin",
    "set_stock",
    "set_price",
    "start_flash",
    "end_flash",
    "schedule_drop",
    "cancel_drop",
]
SELLER += ["announce_auction", "open_auction", "cancel_auction", "say"]


def flash_price(stage: Stage, products: Products) -> None:
    variant = products[0]["variants"][0]
    stage.snapshot["pin"] = card_of(products[0])
    stage.snapshot["flashes"] = {variant["id"]: flash(variant, seconds=300, price_minor=1990)}


def drop_ahead(stage: Stage, products: Products) -> None:
    stage.snapshot["pin"] = card_of(products[0])
    coming = drop(products[1], opens_in_s=200)
    stage.snapshot["drops"] = {coming["variant_id"]: coming}


def drop_gone(stage: Stage, products: Products) -> None:
    gone = drop(products[1], opens_in_s=-60, state="sold_out", waiting=7)
    stage.snapshot["drops"] = {gone["variant_id"]: gone}


def in_line(stage: Stage, products: Products) -> Callable[[], None]:
    drop_gone(stage, products)
    place = {"variant_id": products[1]["variants"][0]["id"], "state": "waiting", "quantity": 1, "position": 3}
    return lambda: stage.tell({"type": "waitlist", "place": place})


def my_turn(stage: Stage, products: Products) -> Callable[[], None]:
    drop_gone(stage, products)
    place = {"variant_id": products[1]["variants"][0]["id"], "state": "offered", "quantity": 1}
    offer = {"offer_id": "o1", "offer_ends_ms": now_ms(300), "unit_price_minor": 2800}
    return lambda: stage.tell({"type": "waitlist", "place": place | offer})


def bidding(stage: Stage, products: Products) -> dict[str, Any]:
    stage.snapshot["pin"] = card_of(products[0])
    price = {"price_minor": 1400, "next_minor": 1500, "bids": 3, "leader": "Amber Fox", "recent": BIDS}
    view = auction(products[2], seconds=300, has_reserve=True, **price)
    stage.snapshot["auctions"] = {view["auction_id"]: view}
    return view


def auction_open(stage: Stage, products: Products) -> None:
    bidding(stage, products)


def stand(stage: Stage, view: dict[str, Any], state: str, **more: Any) -> None:
    own = {"auction_id": view["auction_id"], "alias": "Quiet Heron", "state": state, "max_minor": 2000}
    stage.tell({"type": "standing", "standing": own | more})


def leading(stage: Stage, products: Products) -> Callable[[], None]:
    view = bidding(stage, products)
    return lambda: stand(stage, view, "leading", misbid_until_ms=now_ms(300))


def outbid(stage: Stage, products: Products) -> Callable[[], None]:
    view = bidding(stage, products)

    def later() -> None:
        stand(stage, view, "outbid")
        moved = {"ends_ms": view["ends_ms"] + 10_000}
        stage.events(bids_placed(view, bid(4, "Amber Fox", 1600), reserve_met=True, **moved))

    return later


def payment_failed(stage: Stage, products: Products) -> Callable[[], None]:
    view = bidding(stage, products)

    def later() -> None:
        stage.events(
            {"type": "auction_changed", "auction": view | {"state": "charging", "ends_ms": now_ms()}}
        )
        stand(stage, view, "payment_failed")

    return later


def staffed(stage: Stage, products: Products) -> None:
    bidding(stage, products)
    flash_price(stage, products)
    coming = drop(products[1], opens_in_s=300)
    stage.snapshot["drops"] = {coming["variant_id"]: coming}
    announced = auction(products[3], state="announced")
    stage.snapshot["auctions"][announced["auction_id"]] = announced


State = tuple[str, Callable[[Stage, Products], Callable[[], None] | None], str, str | None]
WATCHING: tuple[State, ...] = (
    ("flash price", flash_price, "flash", None),
    ("flash price in the sheet", flash_price, "flash", "pin-open"),
    ("drop ahead", drop_ahead, "drop", None),
    ("ready for a drop", drop_ahead, "drop", "pay-line"),
    ("drop sold out", drop_gone, "waitlist", None),
    ("in line", in_line, "place", None),
    ("my turn", my_turn, "turn", None),
    ("auction", auction_open, "auction", None),
    ("leading", leading, "retract", None),
    ("outbid", outbid, "auction", None),
    ("auction in the sheet", leading, "retract", "auction-open"),
    ("payment failed", payment_failed, "change-card", None),
)
SELLING: tuple[State, ...] = (
    ("what is on sale", staffed, "sales-floor", None),
    ("a way to sell", staffed, "sales-floor", "sell"),
)


def look_at(page: Page, stage: Stage, state: State, products: Products) -> None:
    name, prepare, awaited, then = state
    stage.snapshot = empty_room()
    later = prepare(stage, products)
    stage.reset()
    if later:
        later()
    expect(page.get_by_test_id(awaited).first, name).to_be_visible()
    if then:
        page.get_by_test_id(re.compile(rf"^{then}(-[0-9a-f-]{{36}})?$")).first.click()
        expect(page.locator("dialog[open]"), name).to_be_visible()
    assert violations(page) == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), (
        f"{name}: scrolls sideways"
    )
    assert page.evaluate(SMALL_TARGETS) == [], f"{name}: smaller than a thumb"
    if then:
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


@pytest.mark.parametrize("on", ["phone", "desk"])
@pytest.mark.parametrize(
    ("role", "path", "states"),
    [
        ("viewer", "/shows/{show}", WATCHING),
        ("producer", "/console/{show}", SELLING),
        ("host", "/studio/{show}", SELLING[1:]),
    ],
    ids=["watching", "console", "studio"],
)
def test_no_way_to_sell_breaks_a_rule(
    role: str, path: str, states: tuple[State, ...], on: str, demo: Demo, visit: Visit
) -> None:
    viewport, scheme = (PHONE, "dark") if on == "phone" else (DESKTOP, "light")
    show_id = demo.report["whip"]["show_id"]
    person = visit(role, viewport=viewport, scheme=scheme)
    products = products_of(person, show_id)
    page = person.context.new_page()
    staff = role != "viewer"
    stage = Stage(page, roles=[role] if staff else [], may=SELLER if staff else VIEWER)
    page.goto(f"{demo.web_url}{path.format(show=show_id)}")
    page.wait_for_selector(READY, state="attached")
    stage.wait(page)
    if role == "host" and on == "phone":
        page.get_by_role("tab", name="Products").click()
    for state in states:
        look_at(page, stage, state, products)


SMALL_TARGETS = """
[...document.querySelectorAll('.feature button, .turn button, .feature-switch button, .pin button.l')]
  .filter((button) => button.checkVisibility() && button.getBoundingClientRect().height < 43.5)
  .map((button) => button.textContent)
"""
