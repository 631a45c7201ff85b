"""What staff do at their pages, several of them at once."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Person, violations

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def picture(name: str, colour: str) -> Any:
    out = io.BytesIO()
    Image.new("RGB", (400, 300), colour).save(out, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": out.getvalue()}


def new_product(producer: Person, title: str, *sizes: str) -> dict[str, Any]:
    variants = [{"title": size, "price_minor": 1200, "available": 4} for size in sizes]
    answer = producer.api("POST", "/api/staff/products", {"title": title, "variants": variants})
    assert answer.ok, answer.text()
    return dict(answer.json())


def new_show(visit: Visit, title: str) -> str:
    """A show of the host's own."""
    host_id = visit("host").api("GET", "/api/me").json()["user"]["id"]
    starts_at = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    plan = {"title": title, "starts_at": starts_at, "host_id": host_id, "visibility": "unlisted"}
    answer = visit("producer").api("POST", "/api/staff/shows", plan)
    assert answer.ok, answer.text()
    return str(answer.json()["id"])


def pictures_of(page: Page) -> list[str | None]:
    return [row.get_attribute("data-image") for row in page.get_by_test_id("image").all()]


def test_pictures_are_put_in_order_and_described_by_keyboard(visit: Visit) -> None:
    producer = visit("producer")
    product = new_product(producer, "Two pictures", "S")
    page = producer.open(f"/office/catalogue/{product['id']}")
    page.get_by_test_id("add-images").set_input_files(
        [picture("a.png", "#a03020"), picture("b.png", "#2050a0")]
    )
    expect(page.get_by_test_id("image")).to_have_count(2)
    first, second = pictures_of(page)

    page.get_by_label("Move picture 1 back").press("Enter")
    expect(page.get_by_label("Move picture 2 forward")).to_be_focused()
    expect(page.get_by_test_id("image").first).to_have_attribute("data-image", str(second))
    page.get_by_test_id("describe-image").first.press("Enter")
    expect(page.get_by_test_id("image-alt")).to_be_focused()
    page.keyboard.type("A blue field")
    page.get_by_test_id("save-alt").press("Enter")
    expect(page.get_by_test_id("image").first).to_contain_text("A blue field")
    assert violations(page) == []
    page.reload()
    expect(page.get_by_test_id("image").first).to_contain_text("A blue field")
    assert pictures_of(page) == [second, first]


def test_a_variant_is_taken_off_sale_and_put_back(visit: Visit) -> None:
    producer = visit("producer", viewport=PHONE, scheme="dark")
    product = new_product(producer, "Two sizes", "Small", "Large")
    page = producer.open(f"/office/catalogue/{product['id']}")
    page.get_by_role("button", name="Remove Small").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("variant")).to_have_count(1)
    page.get_by_test_id("off-sale").locator("summary").click()
    expect(page.get_by_test_id("archived-variant")).to_contain_text("Small")
    assert violations(page) == []
    page.get_by_test_id("restore-variant").click()
    expect(page.get_by_test_id("variant")).to_have_count(2)
    expect(page.get_by_test_id("off-sale")).to_have_count(0)


def test_saving_one_field_leaves_what_another_set_meanwhile(visit: Visit) -> None:
    producer, other = visit("producer"), visit("owner")
    product = new_product(producer, "Edited by two", "S")
    page = producer.open(f"/office/catalogue/{product['id']}")
    variant = f"/api/staff/variants/{product['variants'][0]['id']}"
    expect(page.get_by_test_id("variant-price")).to_have_value("12.00")
    assert other.api("PATCH", variant, {"price_minor": 1500}).ok
    page.get_by_test_id("variant-sku").fill("E-1")
    page.get_by_test_id("save-variant").click()
    expect(page.get_by_test_id("variant-price")).to_have_value("15.00")
    [now] = producer.api("GET", f"/api/staff/products/{product['id']}").json()["variants"]
    assert (now["sku"], now["price_minor"]) == ("E-1", 1500)


def test_a_form_leads_to_what_is_wrong(visit: Visit) -> None:
    page = visit("owner", viewport=PHONE).open("/office/settings")
    page.get_by_test_id("shop-name").fill(" ")
    page.get_by_test_id("save-settings").click()
    expect(page.get_by_test_id("shop-name")).to_be_focused()
    expect(page.get_by_test_id("shop-name")).to_be_in_viewport()


def test_a_price_that_another_set_while_one_types_is_said(visit: Visit) -> None:
    producer = visit("producer")
    product = new_product(producer, "Priced by two", "S")
    show_id = new_show(visit, "Two producers")
    assert producer.api("PUT", f"/api/staff/shows/{show_id}/items", {"product_ids": [product["id"]]}).ok
    field = f"price-{product['variants'][0]['id']}"
    page, other = producer.open(f"/console/{show_id}"), visit("owner").open(f"/console/{show_id}")
    page.get_by_test_id(field).fill("11")
    other.get_by_test_id(field).fill("13")
    other.get_by_test_id(field).press("Enter")
    expect(page.get_by_test_id(f"{field}-overtaken")).to_contain_text("13.00")
    page.get_by_test_id(field).press("Escape")
    expect(page.get_by_test_id(field)).to_have_value("13.00")


def test_a_product_is_found_in_a_long_show(visit: Visit) -> None:
    producer = visit("producer", viewport=PHONE)
    products = [new_product(producer, f"Long show {number}", "S") for number in range(12)]
    show_id = new_show(visit, "Twelve products")
    ids = [product["id"] for product in products]
    assert producer.api("PUT", f"/api/staff/shows/{show_id}/items", {"product_ids": ids}).ok
    page = producer.open(f"/console/{show_id}")
    page.get_by_test_id("find-in-run").fill("SHOW 11")
    expect(page.get_by_test_id("run-row").filter(visible=True)).to_have_count(1)
    page.get_by_test_id(f"pin-{ids[11]}").click()
    expect(page.get_by_test_id("run-row").filter(visible=True)).to_have_attribute("data-state", "pinned")
    assert violations(page) == []


def test_two_windows_of_one_host_do_not_take_the_picture_from_each_other(visit: Visit) -> None:
    show_id = new_show(visit, "Two windows")
    first, second = visit("host").open(f"/studio/{show_id}"), visit("host").open(f"/studio/{show_id}")
    first.get_by_test_id("go-live").click()
    expect(first.get_by_test_id("tally")).to_have_attribute("data-state", "live")
    second.get_by_test_id("go-live").click()
    expect(second.get_by_test_id("tally")).to_have_attribute("data-state", "live")
    expect(first.get_by_test_id("go-live-problem")).to_contain_text("another window")
    first.wait_for_timeout(1_500)  # it would come back within 700 ms
    expect(first.get_by_test_id("tally")).to_have_attribute("data-state", "refused")
    expect(second.get_by_test_id("tally")).to_have_attribute("data-state", "live")
    first.get_by_test_id("go-live-problem").get_by_role("button").click()
    expect(first.get_by_test_id("tally")).to_have_attribute("data-state", "live")
    expect(second.get_by_test_id("go-live-problem")).to_be_visible()
