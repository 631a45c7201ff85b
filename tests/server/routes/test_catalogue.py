"""The catalogue: the back office's side and the storefront's."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from obstore.exceptions import GenericError
from PIL import Image

from server import images as images_module
from server.images import Images
from server.routes.staff_catalogue import handle_of

from .conftest import Web

UPLOAD = {"x-hawker": "1", "content-type": "image/png"}


def png(width: int = 800, height: int = 600) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "#a03020").save(out, "PNG")
    return out.getvalue()


async def add_product(producer: httpx.AsyncClient, title: str = "Cup", **more: Any) -> dict[str, Any]:
    body = {"title": title, "variants": [{"price_minor": 1250, "available": 5}], **more}
    answer = await producer.post("/api/staff/products", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_product_is_made_sold_and_taken_away(web: Web) -> None:
    producer, visitor = await web.signed_in("producer"), web.browser()
    made = await add_product(producer, "Blue Cup")
    assert made["handle"].startswith("blue-cup")
    assert made["variants"][0]["available"] == 5
    seen = (await visitor.get(f"/api/products/{made['handle']}")).json()
    assert seen["variants"][0]["price_minor"] == 1250
    assert made["id"] in [p["id"] for p in (await visitor.get("/api/products?q=BLUE")).json()["products"]]
    await producer.patch(f"/api/staff/products/{made['id']}", json={"tags": ["Gift ideas"]})
    assert made["id"] in [p["id"] for p in (await visitor.get("/api/products?q=gift")).json()["products"]]
    assert (await visitor.get("/api/products?q=nothing-like-it")).json() == {"products": [], "next": None}
    changed = await producer.patch(f"/api/staff/products/{made['id']}", json={"state": "draft"})
    assert changed.json()["state"] == "draft"
    gone = await visitor.get(f"/api/products/{made['handle']}")
    assert gone.json()["code"] == "no_such_product"
    drafts = (await producer.get("/api/staff/products?state=draft")).json()["products"]
    assert made["id"] in [product["id"] for product in drafts]


async def test_handles_are_one_products_each(web: Web) -> None:
    producer = await web.signed_in("producer")
    first = await add_product(producer, "Twin")
    second = await add_product(producer, "Twin")
    assert second["handle"] == first["handle"] + "-2"
    taken = await producer.patch(f"/api/staff/products/{second['id']}", json={"handle": first["handle"]})
    assert taken.json()["code"] == "handle_taken"


async def test_variants_change_and_prices_need_the_right(web: Web) -> None:
    producer = await web.signed_in("producer")
    product = await add_product(producer)
    path = f"/api/staff/variants/{product['variants'][0]['id']}"
    changed = await producer.patch(path, json={"price_minor": 990, "title": "Red", "buyer_limit": 2})
    assert changed.json() | {"id": ""} == {
        "id": "",
        "title": "Red",
        "sku": "",
        "price_minor": 990,
        "compare_at_minor": None,
        "buyer_limit": 2,
        "available": 5,
    }
    more = await producer.post(
        f"/api/staff/products/{product['id']}/variants", json={"price_minor": 1, "title": "Blue"}
    )
    assert more.status_code == 201
    for role in ("moderator", "host"):
        staff = await web.signed_in(role)
        assert (await staff.patch(path, json={"price_minor": 1})).json()["code"] == "not_allowed"
        assert (await staff.put(path + "/stock", json={"available": 1})).json()["code"] == "not_allowed"


async def test_a_variant_taken_off_sale_is_seen_by_staff_and_put_back(web: Web) -> None:
    producer, visitor = await web.signed_in("producer"), web.browser()
    product = await add_product(
        producer,
        variants=[{"price_minor": 100, "title": "S", "available": 3}, {"price_minor": 200, "title": "L"}],
    )
    small, _ = product["variants"]
    one, variant = f"/api/staff/products/{product['id']}", f"/api/staff/variants/{small['id']}"
    assert (await producer.patch(variant, json={"state": "archived"})).status_code == 200
    seen = (await producer.get(one)).json()
    assert [v["title"] for v in seen["variants"]] == ["L"]
    assert [(v["title"], v["available"]) for v in seen["archived"]] == [("S", 3)]
    shown = (await visitor.get(f"/api/products/{product['handle']}")).json()
    assert [v["title"] for v in shown["variants"]] == ["L"]
    assert "archived" not in shown
    await producer.patch(variant, json={"state": "active"})
    seen = (await producer.get(one)).json()
    assert ([v["title"] for v in seen["variants"]], seen["archived"]) == (["S", "L"], [])


async def test_staff_open_one_product_in_whatever_state(web: Web) -> None:
    producer, moderator = await web.signed_in("producer"), await web.signed_in("moderator")
    product = await add_product(producer, state="draft")
    path = f"/api/staff/products/{product['id']}"
    assert (await producer.get(path)).json() == product
    assert (await moderator.get(path)).json()["code"] == "not_allowed"
    nowhere = "/api/staff/products/00000000-0000-7000-8000-000000000000"
    assert (await producer.get(nowhere)).json()["code"] == "no_such_product"


async def test_stock_is_set_and_never_negative(web: Web) -> None:
    producer = await web.signed_in("producer")
    product = await add_product(producer)
    path = f"/api/staff/variants/{product['variants'][0]['id']}/stock"
    assert (await producer.put(path, json={"available": 12})).json()["available"] == 12
    negative = await producer.put(path, json={"available": -1})
    assert (negative.status_code, list(negative.json()["fields"])) == (422, ["available"])
    nowhere = "/api/staff/variants/00000000-0000-7000-8000-000000000000/stock"
    assert (await producer.put(nowhere, json={"available": 1})).json()["code"] == "no_such_variant"


async def test_a_change_based_on_what_is_no_more_is_refused(web: Web) -> None:
    first, second = await web.signed_in("producer"), await web.signed_in("producer")
    made = await add_product(first)
    variant = made["variants"][0]
    product, of_variant = f"/api/staff/products/{made['id']}", f"/api/staff/variants/{variant['id']}"
    stock, was = of_variant + "/stock", {"title": made["title"]}
    assert (await first.patch(product, json={"title": "Beaker", "was": was})).json()["title"] == "Beaker"
    late = (await second.patch(product, json={"title": "Mug", "vendor": "Ana", "was": was})).json()
    assert (late["code"], list(late["fields"])) == ("changed_meanwhile", ["title"])
    kept = (await second.get(product)).json()
    assert (kept["title"], kept["vendor"]) == ("Beaker", made["vendor"])
    for based_on in ({"title": "Beaker"}, was):  # the second time it says so already
        again = await second.patch(product, json={"title": "Mug", "was": based_on})
        assert again.json()["title"] == "Mug"
    price = {"price_minor": variant["price_minor"] + 100, "was": {"price_minor": variant["price_minor"]}}
    units = {"available": 9, "was": {"available": variant["available"]}}
    assert (await first.patch(of_variant, json=price)).status_code == 200
    assert (await first.put(stock, json=units)).status_code == 200
    late_price = await second.patch(of_variant, json=price | {"price_minor": 1})
    late_units = await second.put(stock, json=units | {"available": 2})
    assert late_price.json()["code"] == late_units.json()["code"] == "changed_meanwhile"


async def test_every_change_is_audited(web: Web) -> None:
    producer, owner = await web.signed_in("producer", name="Rosalind"), await web.signed_in("owner")
    product = await add_product(producer)
    entries = (await owner.get("/api/staff/audit")).json()["entries"]
    entry = next(e for e in entries if e["subject"] == product["id"])
    assert (entry["action"], entry["actor_name"]) == ("add_product", "Rosalind")
    variant = product["variants"][0]["id"]
    await producer.put(f"/api/staff/variants/{variant}/stock", json={"available": 3})
    (latest, *_) = (await owner.get("/api/staff/audit")).json()["entries"]
    assert (latest["action"], latest["subject"]) == ("set_stock", variant)
    assert (latest["product_id"], latest["about"].partition(",")[0]) == (product["id"], product["title"])
    assert (await producer.get("/api/staff/audit")).json()["code"] == "not_allowed"


# --- images


async def test_an_image_is_served_in_four_widths_without_its_past(web: Web) -> None:
    producer, visitor = await web.signed_in("producer"), web.browser()
    product = await add_product(producer)
    path = f"/api/staff/products/{product['id']}/images"
    answer = await producer.post(path + "?alt=A+red+cup", content=png(1600, 900), headers=UPLOAD)
    assert answer.status_code == 201, answer.text
    image = answer.json()
    assert (image["width"], image["height"], image["alt"]) == (1600, 900, "A red cup")
    for width in (96, 320, 640, 1280):
        served = await visitor.get(f"/media/{image['id']}/{width}.webp")
        assert served.headers["content-type"] == "image/webp"
        assert "immutable" in served.headers["cache-control"]
        assert Image.open(io.BytesIO(served.content)).size[0] == width
    assert (await visitor.get(f"/media/{image['id']}/97.webp")).status_code == 404
    seen = (await visitor.get(f"/api/products/{product['handle']}")).json()
    assert seen["images"][0]["url"] == f"/media/{image['id']}/640.webp"
    again = (await producer.post(path, content=png(1600, 900), headers=UPLOAD)).json()
    assert again["id"] == image["id"]
    assert (await producer.delete(f"{path}/{image['id']}")).status_code == 204
    assert (await producer.delete(f"{path}/{image['id']}")).json()["code"] == "no_such_image"


async def test_images_are_ordered_and_described(web: Web) -> None:
    producer, host = await web.signed_in("producer"), await web.signed_in("host")
    product = await add_product(producer)
    one, path = f"/api/staff/products/{product['id']}", f"/api/staff/products/{product['id']}/images"

    async def add(width: int) -> str:
        return str((await producer.post(path, content=png(width), headers=UPLOAD)).json()["id"])

    async def order() -> list[str]:
        return [image["id"] for image in (await producer.get(one)).json()["images"]]

    first, second, third = [await add(width) for width in (101, 102, 103)]
    assert (await producer.put(path, json={"image_ids": [third, first, second]})).status_code == 204
    assert await order() == [third, first, second]
    assert (await producer.put(path, json={"image_ids": [second]})).status_code == 204
    assert await order() == [second, third, first]
    twice = await producer.put(path, json={"image_ids": [second, second]})
    assert list(twice.json()["fields"]) == ["image_ids"]
    foreign = await producer.put(path, json={"image_ids": [product["id"]]})
    assert foreign.json()["code"] == "no_such_image"
    assert (await host.put(path, json={"image_ids": []})).json()["code"] == "not_allowed"
    assert (await producer.patch(f"{path}/{third}", json={"alt": " A cup from above "})).status_code == 204
    assert [image["alt"] for image in (await producer.get(one)).json()["images"]] == [
        "",
        "A cup from above",
        "",
    ]
    missing = await producer.patch(f"{path}/{product['id']}", json={"alt": "x"})
    assert missing.json()["code"] == "no_such_image"
    for gone in (second, third):
        await producer.delete(f"{path}/{gone}")
    fourth, fifth = await add(104), await add(105)
    assert await order() == [first, fourth, fifth]
    await producer.delete(f"{path}/{first}")
    last = await add(106)
    assert await order() == [fourth, fifth, last]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no image at all", "not_an_image"),
        (b"", "not_an_image"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "svg_not_accepted"),
        (png()[:500], "not_an_image"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 10_000_001, "too_large"),
    ],
)
async def test_what_is_no_image_is_refused(web: Web, content: bytes, code: str) -> None:
    producer = await web.signed_in("producer")
    product = await add_product(producer)
    path = f"/api/staff/products/{product['id']}/images"
    answer = await producer.post(path, content=content, headers=UPLOAD)
    assert answer.json()["code"] == code


async def test_uploads_want_our_header_and_an_image_type(web: Web) -> None:
    producer = await web.signed_in("producer")
    path = f"/api/staff/products/{(await add_product(producer))['id']}/images"
    bare = await producer.post(path, content=png(), headers={"content-type": "image/png"})
    assert bare.json()["code"] == "cross_site"
    text = await producer.post(path, content=png(), headers={**UPLOAD, "content-type": "text/html"})
    assert text.json()["code"] == "wrong_content_type"


async def test_a_full_disk_is_said_and_keeps_nothing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*args: Any, **kwargs: Any) -> None:
        raise GenericError("Unable to write: No space left on device (os error 28)")

    monkeypatch.setattr(images_module.obstore, "put_async", full)
    producer = await web.signed_in("producer")
    product = await add_product(producer)
    answer = await producer.post(
        f"/api/staff/products/{product['id']}/images", content=png(33, 33), headers=UPLOAD
    )
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    seen = (await producer.get("/api/staff/products?q=" + product["handle"])).json()["products"][0]
    assert seen["images"] == []


def test_images_need_no_loop_to_be_closed() -> None:
    Images(None).close()  # type: ignore[arg-type]


# --- import

CSV = {"x-hawker": "1", "content-type": "text/csv"}
OLD = """\
Handle,Title,Body (HTML),Vendor,Tags,Published,Option1 Value,Variant SKU,Variant Inventory Qty,\
Variant Price,Variant Compare At Price,Image Src,Status
tea-pot,Tea pot,<p>Keeps <b>warm</b></p>,Acme,"tea, pots",TRUE,Small,TP-S,4,19.90,25.00,http://169.254.169.254/x.jpg,active
tea-pot,,,,,,Large,TP-L,7,29.90,,,
bad-price,Bad,,,,TRUE,,B-1,1,twelve,,,active
"""
NEW = """\
Title,URL handle,Description,Vendor,Tags,Published on online store,Status,SKU,Option1 value,\
Price,Compare-at price,Inventory quantity,Product image URL
Tea pot II,tea-pot,Holds more,Acme,tea,TRUE,Active,TP-S,Small,17.50,,9,
"""


async def test_a_shopify_csv_is_imported_and_imported_again(web: Web) -> None:
    producer, visitor = await web.signed_in("producer"), web.browser()
    first = await producer.post("/api/staff/products/import", content=OLD.encode(), headers=CSV)
    assert first.status_code == 200, first.text
    assert (first.json()["created"], first.json()["updated"]) == (1, 0)
    problems = [(p["line"], p["code"]) for p in first.json()["problems"]]
    assert problems == [(2, "image_not_fetched"), (4, "bad_price")]
    product = (await visitor.get("/api/products/tea-pot")).json()
    assert product["description"] == "Keeps warm"
    assert product["tags"] == ["tea", "pots"]
    assert [(v["title"], v["price_minor"], v["available"]) for v in product["variants"]] == [
        ("Small", 1990, 4),
        ("Large", 2990, 7),
    ]
    second = await producer.post("/api/staff/products/import", content=NEW.encode(), headers=CSV)
    assert (second.json()["created"], second.json()["updated"]) == (0, 1)
    product = (await visitor.get("/api/products/tea-pot")).json()
    assert product["title"] == "Tea pot II"
    assert [(v["title"], v["price_minor"], v["available"]) for v in product["variants"]] == [
        ("Small", 1750, 9),
        ("Large", 2990, 7),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "Line 1"),
        (b"just words\nand more", "Line 1 has no column"),
        (b"", "Line 1 has no column"),
        (b"Handle,Title,Variant Price\na,b\x00c,1\n", "Line 2 has a NUL"),
        (b'Handle,Title,Variant Price\na,"b"c,1\n', "Line 2 is no CSV"),
        (b"Handle,Title,Variant Price\na,\xff,1\n", "Line 2 is not UTF-8"),
    ],
)
async def test_what_is_no_csv_is_refused_with_its_line(web: Web, content: bytes, said: str) -> None:
    producer = await web.signed_in("producer")
    answer = await producer.post("/api/staff/products/import", content=content, headers=CSV)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_csv")
    assert said in answer.json()["detail"]


def test_handles_are_made_from_titles() -> None:
    assert handle_of("Crème brûlée, 2 pcs") == "creme-brulee-2-pcs"
    assert handle_of("茶") == "product"
