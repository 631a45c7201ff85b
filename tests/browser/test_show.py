"""A show runs, whole: broadcast, talk, buy — with real browsers on the running demo."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
import uuid_utils
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_S, Demo, Person, until
from tests.browser.picture import seen_moving

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
TAP_AT = "(at) => setTimeout(() => document.querySelector('[data-testid=buy]').click(), at - Date.now())"
ENDED = "[data-outcome=paid], [data-outcome=sold_out], [data-testid=waitlist]"


def ask(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end on a loop of its own: Playwright's own loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(PATIENCE_S)


async def _query(url: str, sql: str, *arguments: object) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url, timeout=PATIENCE_S)
    try:
        return [dict(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


def rows(demo: Demo, sql: str, *arguments: object) -> list[dict[str, Any]]:
    return list(ask(_query(demo.environment("web")["HAWKER_DATABASE_URL"], sql, *arguments)))


def payments(demo: Demo) -> list[dict[str, Any]]:
    """Every payment intent as the simulator has it."""
    settings = demo.environment("web")
    request = urllib.request.Request(
        f"{settings['HAWKER_STRIPE_API_URL']}/v1/_audit",
        headers={"Authorization": f"Bearer {settings['HAWKER_STRIPE_SECRET_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        audit = json.load(answer)
    return list(audit.get("payment_intents") or audit["data"])


def products_of(person: Person, show_id: str) -> list[dict[str, Any]]:
    return [item["product"] for item in person.api("GET", f"/api/shows/{show_id}").json()["items"]]


def test_two_viewers_watch_talk_and_buy(demo: Demo, visit: Visit) -> None:
    show_id = demo.report["whip"]["show_id"]
    host, producer, moderator = visit("host"), visit("producer"), visit("moderator")
    buyer, reader = visit("viewer"), visit("owner")

    studio = host.open(f"/studio/{show_id}")
    studio.get_by_test_id("go-live").click()
    expect(studio.get_by_test_id("on-air")).to_be_visible()

    watching = [buyer.open(f"/shows/{show_id}"), reader.open(f"/shows/{show_id}")]
    for page in watching:
        seen_moving(page)

    mug = next(product for product in products_of(buyer, show_id) if product["handle"] == "morning-mug")
    console = producer.open(f"/console/{show_id}")
    console.get_by_test_id(f"pin-{mug['id']}").click()
    for page in watching:
        expect(page.get_by_test_id("pin-title")).to_have_text(mug["title"])

    said = f"Does it hold coffee? {uuid_utils.uuid7()}"
    composer = watching[0].get_by_test_id("composer")
    composer.fill(said)
    watching[0].get_by_test_id("send").click()
    comment = watching[1].get_by_test_id("comment").filter(has_text=said)
    expect(comment).to_be_visible()
    desk = moderator.open(f"/console/{show_id}")
    row = desk.get_by_test_id("comment").filter(has_text=said)
    row.hover()
    row.get_by_test_id("comment-delete").click()
    for page in watching:
        expect(page.get_by_test_id("comment").filter(has_text=said)).to_have_count(0)

    sand = mug["variants"][0]
    set_stock(console, sand["id"], 7)
    for page in watching:
        expect(page.get_by_test_id("pin-stock")).to_have_attribute("data-available", "7")
    knows_its_buyer(watching[0])
    watching[0].get_by_test_id("buy").click()
    expect(watching[0].get_by_test_id("outcome")).to_have_attribute("data-outcome", "paid")
    for page in watching:
        expect(page.get_by_test_id("pin-stock")).to_have_attribute("data-available", "6")

    found = rows(
        demo,
        "SELECT o.* FROM orders o JOIN order_lines l ON l.order_id = o.id"
        " WHERE o.show_id = $1 AND l.variant_id = $2",
        show_id,
        sand["id"],
    )
    assert [order["state"] for order in found] == ["paid"]
    paid = [p for p in payments(demo) if (p.get("metadata") or {}).get("order") == str(found[0]["id"])]
    assert [(p["status"], p["amount_received"]) for p in paid] == [("succeeded", found[0]["total_minor"])]
    orders = buyer.open(f"/orders/{found[0]['id']}")
    expect(orders.get_by_text("Paid").first).to_be_visible()


def test_the_last_unit_sells_once(demo: Demo, visit: Visit) -> None:
    show_id = demo.report["show_id"]
    producer = visit("producer")
    console = producer.open(f"/console/{show_id}")
    bowl = next(product for product in products_of(producer, show_id) if product["handle"] == "salt-cellar")
    console.get_by_test_id(f"pin-{bowl['id']}").click()
    set_stock(console, bowl["variants"][0]["id"], 1)

    tabs = [visit("viewer").open(f"/shows/{show_id}") for _ in range(2)]
    for tab in tabs:
        expect(tab.get_by_test_id("pin-title")).to_have_text(bowl["title"])
        expect(tab.get_by_test_id("pin-stock")).to_have_attribute("data-available", "1")
        knows_its_buyer(tab)
    moment_ms = int(time.time() * 1000) + 1_500
    for tab in tabs:
        tab.evaluate(TAP_AT, moment_ms)
    for tab in tabs:
        expect(tab.get_by_test_id("pin-stock")).to_have_attribute("data-available", "0")
    # The second is told so, or finds the button closed where the news was faster than the tap.
    for tab in tabs:
        expect(tab.locator(ENDED).first).to_be_visible()
    assert sum(tab.locator("[data-outcome=paid]").count() for tab in tabs) <= 1
    assert settled_stock(demo, bowl["variants"][0]["id"]) == (0, 0, 1)


def settled_stock(demo: Demo, variant_id: str) -> tuple[int, int, int]:
    """Available, held and sold, once no payment is under way."""

    def stock() -> tuple[int, int, int]:
        [row] = rows(demo, "SELECT available, held, sold FROM stock WHERE variant_id = $1", variant_id)
        return row["available"], row["held"], row["sold"]

    until(lambda: stock()[1] == 0)
    return stock()


def knows_its_buyer(page: Page) -> None:
    """Until one tap is enough: card and address have come."""
    expect(page.locator("button[data-testid=pay-line]")).to_be_visible()


def set_stock(console: Page, variant_id: str, units: int) -> None:
    field = console.get_by_test_id(f"stock-{variant_id}")
    field.fill(str(units))
    field.press("Enter")
