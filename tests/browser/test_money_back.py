"""A producer cancels a show: everybody who has paid gets the money back, and reads why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Person, until, violations

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
WHY = "The potter is ill"


def bought(viewer: Person, show: str, variant: dict[str, Any]) -> str:
    line = {"variant_id": variant["id"], "quantity": 1, "unit_price_minor": variant["price_minor"]}
    body = {"id": str(uuid4()), "show_id": show, "lines": [line]}
    answer = viewer.api("POST", "/api/orders", body)
    assert answer.ok, answer.text()
    until(lambda: viewer.api("GET", f"/api/orders/{body['id']}").json()["state"] == "paid")
    return str(body["id"])


def nothing_wrong(page: Page) -> None:
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []


def test_a_cancelled_show_gives_everybody_the_money_back(visit: Visit) -> None:
    producer, viewer = visit("producer", viewport=PHONE), visit("viewer")
    plan = {"title": "Called off", "starts_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    show = producer.api("POST", "/api/staff/shows", plan).json()["id"]
    size = [{"title": "S", "price_minor": 1200, "available": 4}]
    product = producer.api("POST", "/api/staff/products", {"title": "Doomed cup", "variants": size}).json()
    producer.api("PUT", f"/api/staff/shows/{show}/items", {"product_ids": [product["id"]]})
    order = bought(viewer, show, product["variants"][0])

    theirs = viewer.open(f"/shows/{show}")
    expect(theirs.get_by_test_id("lobby")).to_be_visible()
    page = producer.open(f"/office/shows/{show}")
    page.get_by_test_id("cancel-show").click()
    expect(page.get_by_test_id("money-back-sheet")).to_be_visible()
    expect(page.get_by_test_id("run-confirm")).to_contain_text("refund")
    nothing_wrong(page)
    page.get_by_test_id("run-reason").fill(WHY)
    page.get_by_test_id("run-confirm").click()
    run = page.get_by_test_id("refund-run")
    expect(run).to_contain_text("Show cancelled")
    expect(run).to_contain_text("1 of 1 order refunded")
    expect(run).to_contain_text("Done")
    expect(page.get_by_test_id("cancel-show")).to_have_count(0)
    nothing_wrong(page)

    expect(theirs.get_by_test_id("show-cancelled")).to_contain_text("gives your money back")
    theirs.goto("/".join(theirs.url.split("/")[:3]))
    expect(theirs.locator(".upcoming-show", has_text="Called off").first).to_contain_text("Cancelled")
    theirs = viewer.open(f"/orders/{order}")
    expect(theirs.get_by_test_id("refunded")).to_be_visible()
    expect(theirs.get_by_text(WHY)).to_be_visible()
