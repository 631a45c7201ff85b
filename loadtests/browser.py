"""Real Chromium for the benchmarks: its switches, a bare page with `glass.js` in it, glass to glass."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

GLASS = Path(__file__).with_name("glass.js")
FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=30",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WARM_UP = 10
"""Frames of a page's start that don't count: its player is still finding its pace."""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def blank_page(browser: Browser, url: str) -> Page:
    """A bare page of the server's origin, so that WHIP and WHEP are asked for as its own pages do."""
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    await page.evaluate(GLASS.read_text())
    return page


@dataclass(slots=True)
class Ages:
    """Of the frames seen, ms: through the relay, and through a page looped to itself, the floor."""

    relay: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    unreadable: int = 0


async def glass_to_glass(
    browser: Browser, page_url: str, whip: tuple[str, str], whep: str, *, seconds: float, rounds: int = 3
) -> Ages:
    """A page publishes a clock to `whip` (URL, token), another reads it at `whep`; in turn with the floor."""
    ages = Ages()
    publisher = await blank_page(browser, page_url)
    await publisher.evaluate("([url, token]) => glass.publish(url, token)", list(whip))
    await publisher.wait_for_timeout(1000)
    for _ in range(rounds):
        for seen, player in ((ages.relay, "glass.watch(url)"), (ages.floor, "glass.loop()")):
            page = await blank_page(browser, page_url)
            measured = await page.evaluate(
                f"async ([url, s]) => glass.measure(await {player}, s)", [whep, seconds]
            )
            seen.extend(measured["ages"][_WARM_UP:])
            ages.unreadable += measured["unreadable"]
            await page.context.close()
    await publisher.context.close()
    return ages
