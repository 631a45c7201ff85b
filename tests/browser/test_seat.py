"""A shopper's seat on screens of every shape: goods, talk and tools are never in each other's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import uuid_utils
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import DESKTOP, PATIENCE_MS, PATIENCE_S, PHONE, SETTLED, Demo, Person
from tests.browser.picture import seen_moving
from tests.browser.selling_stage import Stage, card_of, empty_room
from tests.browser.test_pages import Products, leading
from tests.browser.test_show import products_of

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
Box = dict[str, float]

SCREENS: dict[str, ViewportSize] = {
    "phone": {"width": 390, "height": 844},
    "small phone": {"width": 320, "height": 640},
    "phone held sideways": {"width": 844, "height": 390},
    "small phone held sideways": {"width": 667, "height": 375},
    "desk at 200 %": {"width": 640, "height": 400},
    "tablet": {"width": 820, "height": 1180},
    "desk": {"width": 1280, "height": 800},
}
PIN, PICTURE = "[data-testid=pin-place] .pin", "[data-testid=video]"
TOOLS = (".top", ".picture-tools", PIN, ".composer", "[data-testid=comments]")


def dear(stage: Stage, products: Products) -> None:
    """A product whose every word is too long, at a price of millions, its last one."""
    card = card_of(products[0]) | {"title": "Hand-thrown stoneware floor vase, signed, " * 3}
    for variant in card["variants"]:
        variant.update(title="A hundred and twenty centimetres, moss and sand, " * 2, available=1)
        variant.update(price_minor=123_456_789, compare_at_minor=234_567_890)
    stage.snapshot["pin"] = card


def talk(stage: Stage) -> None:
    """Long words, another direction of writing, an answer."""
    texts = ["W" * 200, "هل الشحن إلى دبي متاح؟ الألوان رائعة جداً", "😍" * 30, "Yes. " * 40, "want it"]
    said: dict[str, Any] = {"type": "commented", "badge": None, "reply_to": None}
    stage.events(
        *(
            said | {"comment_id": str(uuid_utils.uuid7()), "user_id": f"x{n}", "name": "N" * 40, "text": text}
            for n, text in enumerate(texts)
        )
    )


def staged(demo: Demo, visit: Visit, viewport: dict[str, int]) -> tuple[Page, Stage, Products]:
    person = visit("viewer", viewport=viewport)
    page = person.context.new_page()
    stage = Stage(page)
    page.goto(f"{demo.web_url}/shows/{demo.report['show_id']}")
    stage.wait(page)
    seen_moving(page)
    return page, stage, products_of(person, demo.report["show_id"])


BOXES = """
(tools) => tools.map((tool) => {
  const { x, y, width, height } = document.querySelector(tool)?.getBoundingClientRect() ?? {};
  return width && height ? [tool, { x, y, width, height }] : [tool, null];
})
"""


def overlap(one: Box, other: Box) -> bool:
    across = min(one["x"] + one["width"], other["x"] + other["width"]) - max(one["x"], other["x"])
    down = min(one["y"] + one["height"], other["y"] + other["height"]) - max(one["y"], other["y"])
    return across > 1 and down > 1


def test_nothing_lies_over_anything(demo: Demo, visit: Visit) -> None:
    page, stage, products = staged(demo, visit, PHONE)
    for prepare in (dear, leading):
        stage.snapshot = empty_room()
        later = prepare(stage, products)
        stage.reset()
        if later:
            later()
        talk(stage)
        expect(page.get_by_text("want it")).to_be_attached()
        for screen, viewport in SCREENS.items():
            page.set_viewport_size(viewport)
            page.evaluate(SETTLED, PATIENCE_MS)
            ends_s = time.monotonic() + PATIENCE_S
            while wrong := misplaced(page, viewport):
                assert time.monotonic() < ends_s, f"{screen}: {wrong}"
                page.wait_for_timeout(50)


def misplaced(page: Page, viewport: ViewportSize) -> list[str]:
    boxes: dict[str, Box | None] = dict(page.evaluate(BOXES, (*TOOLS, PICTURE)))
    pin, picture = boxes[PIN], boxes.pop(PICTURE)
    if viewport["width"] >= DESKTOP["width"] and pin and picture and overlap(pin, picture):
        return ["the pin lies over the upright picture"]
    seen = {tool: box for tool, box in boxes.items() if box}
    wrong = [f"{tool} is not there" for tool in boxes.keys() - seen.keys()]
    wrong += [f"{tool} leaves it" for tool, box in seen.items() if not is_within(box, viewport)]
    return wrong + [f"{a} lies over {b}" for a, b in combinations(seen, 2) if overlap(seen[a], seen[b])]


def is_within(box: Box, viewport: ViewportSize) -> bool:
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    return box["x"] >= -1 and right <= viewport["width"] + 1 and bottom <= viewport["height"] + 1


def test_a_cut_line_is_said_and_unsaid(demo: Demo, visit: Visit) -> None:
    page, stage, _ = staged(demo, visit, PHONE)
    expect(page.get_by_test_id("cut")).to_be_hidden()
    stage.cut_off()
    expect(page.get_by_test_id("cut")).to_be_visible()
    stage.cut = False
    expect(page.get_by_test_id("cut")).to_be_hidden()


def test_the_picture_has_a_window_of_its_own_and_the_whole_screen(demo: Demo, visit: Visit) -> None:
    page, stage, products = staged(demo, visit, DESKTOP)
    stage.snapshot["pin"] = card_of(products[0])
    stage.reset()
    floats, whole = page.get_by_test_id("float"), page.get_by_test_id("fullscreen")
    for tool in (floats, whole):
        tool.click()
        expect(tool).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_test_id("buy")).to_be_visible()
        tool.click()
        expect(tool).to_have_attribute("aria-pressed", "false")
