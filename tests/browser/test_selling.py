"""Each way to sell, from the desk to the buyer's thumb, on the running demo with real browsers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import uuid_utils
from playwright.sync_api import Page, TimeoutError, expect
from websockets.sync.client import connect

from tests.browser.conftest import PATIENCE_S, PHONE, Demo, Person, until
from tests.browser.test_show import knows_its_buyer, products_of, rows, settled_stock

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
ADDRESS = {"name": "Bea", "line1": "Rue Haute 12", "city": "Paris", "postal_code": "75001", "country": "FR"}


def product(person: Person, show_id: str, handle: str) -> dict[str, Any]:
    return next(one for one in products_of(person, show_id) if one["handle"] == handle)


def command(demo: Demo, person: Person, show_id: str, **wish: object) -> dict[str, Any]:
    """Send one command to the room as that person: the desk's forms offer no times as short."""
    ticket = person.api("POST", f"/api/shows/{show_id}/room-ticket", {}).json()["ticket"]
    command_id = str(uuid_utils.uuid7())
    hello = {"type": "hello", "protocol": 1, "show_id": show_id, "ticket": ticket}
    with connect(str(demo.report["overlay_url"]), open_timeout=PATIENCE_S, close_timeout=2) as room:
        room.send(json.dumps(hello))
        room.send(json.dumps({"id": command_id} | wish))
        while True:
            frame = json.loads(room.recv(timeout=PATIENCE_S))
            if frame["type"] in ("ack", "refused") and frame["id"] == command_id:
                assert frame["type"] == "ack", frame
                return dict(frame)


def shopper(visit: Visit, name: str) -> Person:
    """A new customer with an address, and no card yet."""
    person = visit(viewport=PHONE, scheme="dark")
    form = {
        "email": f"{uuid_utils.uuid7()}@demo.example",
        "password": "hazel-ember-4bd592",
        "display_name": name,
    }
    assert person.api("POST", "/api/auth/sign-up", form).ok
    assert person.api("POST", "/api/me/addresses", ADDRESS).ok
    return person


def own_show(demo: Demo, visit: Visit) -> tuple[str, Person]:
    """The show without a programme, live from now on, and its producer."""
    show_id, producer = demo.report["whip"]["show_id"], visit("producer")
    if producer.api("GET", f"/api/shows/{show_id}").json()["state"] == "scheduled":
        command(demo, producer, show_id, type="start_show")
    return show_id, producer


def show_card(page: Page, kind: str, phase: str) -> None:
    """Turn to a card, which others on sale may take the place of, until it is in that phase."""
    card = page.locator(f"[data-testid={kind}][data-phase={phase}]")
    chip = page.get_by_test_id(f"feature-{kind}").last

    def is_shown() -> bool:
        if chip.count():
            with contextlib.suppress(TimeoutError):  # the last other card has gone: it is shown by itself
                chip.click(timeout=3_000)
        return card.count() == 1

    until(is_shown, page)


def test_a_flash_price_holds_for_its_time(demo: Demo, visit: Visit) -> None:
    show_id, producer = own_show(demo, visit)
    buyer = visit("viewer", viewport=PHONE)
    vase = product(producer, show_id, "tide-vase")
    variant = vase["variants"][0]
    console = producer.open(f"/console/{show_id}")
    console.get_by_test_id(f"pin-{vase['id']}").click()
    page = buyer.open(f"/shows/{show_id}")
    expect(page.get_by_test_id("pin-title")).to_have_text(vase["title"])

    console.get_by_test_id(f"sell-{vase['id']}").click()
    console.get_by_test_id("flash-price").fill("9.90")
    console.get_by_test_id("flash-limit").fill("1")
    console.get_by_test_id("start-flash").click()
    expect(page.get_by_test_id("flash")).to_contain_text("At most 1 a person")
    expect(page.get_by_test_id("pin-price")).to_contain_text("9.90")
    expect(page.get_by_test_id("flash-left")).to_be_visible()
    knows_its_buyer(page)
    page.wait_for_timeout(400)  # a price that has just moved is not taken for agreed to
    page.get_by_test_id("buy").click()
    expect(page.get_by_test_id("outcome")).to_have_attribute("data-outcome", "paid")
    [line] = rows(
        demo,
        "SELECT unit_price_minor FROM order_lines l JOIN orders o ON o.id = l.order_id"
        " WHERE l.variant_id = $1 AND o.state = 'paid'",
        variant["id"],
    )
    assert line["unit_price_minor"] == 990

    console.get_by_test_id("end-flash").click()
    expect(page.get_by_test_id("flash")).to_have_count(0)
    expect(page.get_by_test_id("pin-price")).not_to_contain_text("9.90")
    storefront = buyer.open(f"/products/{vase['handle']}")
    expect(storefront.get_by_test_id("price")).not_to_contain_text("9.90")


def test_a_drop_opens_for_everyone_and_its_waitlist_moves_up(demo: Demo, visit: Visit) -> None:
    show_id, producer = own_show(demo, visit)
    buyer, late = visit("viewer", viewport=PHONE), shopper(visit, "Late Lena")
    bowl = product(producer, show_id, "harbour-bowl")
    variant = bowl["variants"][0]
    page, second = buyer.open(f"/shows/{show_id}"), late.open(f"/shows/{show_id}")
    wish = {"type": "schedule_drop", "variant_id": variant["id"], "units": 1, "offer_s": 3600}
    command(demo, producer, show_id, **wish, opens_in_s=200)
    for viewer in (page, second):
        show_card(viewer, "drop", "before")
    expect(page.get_by_test_id("drop-wait")).to_be_disabled()
    expect(second.get_by_test_id("get-ready")).to_be_visible()  # no card saved yet

    command(demo, producer, show_id, **wish, opens_in_s=5)  # in the first one's place
    show_card(page, "drop", "open")
    buy = page.get_by_test_id("drop").get_by_test_id("buy")
    expect(buy).to_be_enabled()
    buy.click()
    expect(page.get_by_test_id("outcome")).to_have_attribute("data-outcome", "paid")

    show_card(second, "drop", "sold_out")
    second.get_by_test_id("join-waitlist").click()
    expect(second.get_by_test_id("place")).to_have_attribute("data-position", "1")
    account = late.open("/account/waitlist")
    expect(account.get_by_test_id("waitlist-row")).to_have_attribute("data-state", "waiting")
    account.close()

    command(demo, producer, show_id, type="set_stock", variant_id=variant["id"], available=1)
    expect(second.get_by_test_id("turn")).to_contain_text(bowl["title"])
    second.get_by_test_id("take-turn").click()
    second.get_by_test_id("save-card").click()
    second.get_by_test_id("buy-now").click()
    expect(second.get_by_test_id("outcome")).to_have_attribute("data-outcome", "paid")
    available, held, sold = settled_stock(demo, variant["id"])
    assert (available, held) == (0, 0)
    assert sold >= 2


def announced(*viewers: Page) -> None:
    for viewer in viewers:
        show_card(viewer, "auction", "announced")
        expect(viewer.get_by_test_id("sudden-death")).to_be_visible()


def offer_up_to(viewer: Page, amount: str) -> None:
    viewer.get_by_test_id("maximum").click()
    viewer.get_by_test_id("max-bid").fill(amount)
    viewer.get_by_test_id("place-maximum").click()
    expect(viewer.get_by_test_id("auction")).to_have_attribute("data-standing", "leading")


def test_an_auction_is_won_by_the_highest_maximum(demo: Demo, visit: Visit) -> None:
    show_id, producer = own_show(demo, visit)
    first = visit("viewer", viewport=PHONE)
    second = shopper(visit, "Bea")
    teapot = product(producer, show_id, "kiln-teapot")
    console = producer.open(f"/console/{show_id}")
    one, two = first.open(f"/shows/{show_id}"), second.open(f"/shows/{show_id}")
    terms = {"start_minor": 1000, "increment_minor": 100, "extension_s": 0}
    wish = {"type": "announce_auction", "variant_id": teapot["variants"][0]["id"], **terms}
    command(demo, producer, show_id, **wish, duration_s=3600)
    announced(one, two)

    # Bea has no card yet: asked for it, then her pre-bid goes in.
    two.get_by_test_id("bid").click()
    two.get_by_test_id("save-card").click()
    two.get_by_test_id("goal").click()
    expect(two.get_by_test_id("auction")).to_have_attribute("data-standing", "leading")

    console.get_by_test_id("open-auction").click()
    expect(one.get_by_test_id("auction")).to_have_attribute("data-phase", "open")
    offer_up_to(one, "15.00")
    expect(two.get_by_test_id("auction")).to_have_attribute("data-standing", "outbid")
    expect(two.get_by_test_id("auction-price")).to_have_attribute("data-minor", "1100")
    console.get_by_test_id("cancel-auction").click()
    for viewer in (one, two):
        expect(viewer.get_by_test_id("auction")).to_have_count(0)

    # The hammer: all bids are in before the clock starts, so that nobody has to be fast.
    command(demo, producer, show_id, **wish, duration_s=10)
    announced(one, two)
    auction_id = one.get_by_test_id("auction").get_attribute("data-auction")
    two.get_by_test_id("bid").click()
    expect(two.get_by_test_id("auction")).to_have_attribute("data-standing", "leading")
    offer_up_to(one, "15.00")
    console.get_by_test_id("open-auction").click()
    expect(one.get_by_test_id("auction")).to_have_attribute("data-standing", "won")
    expect(one.get_by_test_id("outcome")).to_have_attribute("data-outcome", "paid")
    expect(two.get_by_test_id("auction")).to_have_attribute("data-phase", "sold")
    expect(console.get_by_test_id("sales-over")).to_contain_text("paid")

    book = visit().open(f"/auctions/{auction_id}")
    expect(book.get_by_test_id("book-page")).to_have_attribute("data-phase", "sold")
    expect(book.get_by_test_id("bid-line").nth(1)).to_be_visible()
    won = first.open("/account/auctions")
    expect(won.get_by_test_id("my-auction").first).to_have_attribute("data-state", "won")
