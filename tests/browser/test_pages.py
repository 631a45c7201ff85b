"""Every page, as a phone and a desk see it, by day and by night: no accessibility rule of axe is broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, Demo, Person, violations

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
    "lobby": ("viewer", "/shows/{second}"),
    "account": ("viewer", "/account"),
    "orders": ("viewer", "/account/orders"),
    "studio": ("host", "/studio/{second}"),
    "console": ("producer", "/console/{show}"),
    "console of a moderator": ("moderator", "/console/{show}"),
    "office": ("owner", "/office"),
    "catalogue": ("owner", "/office/catalogue"),
    "orders of the shop": ("owner", "/office/orders"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_rule(name: str, demo: Demo, visit: Visit) -> None:
    role, path = PAGES[name]
    address = path.format(show=demo.report["show_id"], second=demo.report["whip"]["show_id"])
    for viewport, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
        person = visit(role, viewport=viewport, scheme=scheme)
        page = person.open(address)
        page.wait_for_selector(READY, state="attached")
        page.wait_for_timeout(300)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), "scrolls sideways"
        person.context.close()


def test_what_is_on_air_is_seen_without_scrolling(visit: Visit) -> None:
    for viewport in (PHONE, DESKTOP):
        front = visit(viewport=viewport).open("/")
        expect(front.get_by_test_id("live-card").get_by_text("Watch")).to_be_in_viewport()
