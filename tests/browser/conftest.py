"""The demo as a person starts it, and a real Chromium in front of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Error, Page, expect, sync_playwright

from tests import chromium as installed

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
SLOW_CAMERA = "--use-fake-device-for-media-stream=fps=15"  # half the work; the last of two switches counts
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 120_000  # five pages, their cameras and the whole demo share two cores with whatever else runs
PATIENCE_S = PATIENCE_MS / 1000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's line of JSON, and where its parts keep things."""

    report: dict[str, Any]
    data: Path

    @property
    def web_url(self) -> str:
        return str(self.report["web_url"])

    def account(self, role: str) -> dict[str, str]:
        return dict(self.report["accounts"][role])

    def environment(self, role: str) -> dict[str, str]:
        """What a role was told, read from the running process."""
        raw = Path(f"/proc/{self.report['pids'][role]}/environ").read_bytes()
        return dict(pair.decode().split("=", 1) for pair in raw.split(b"\0") if b"=" in pair)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], int]) -> Iterator[Demo]:
    scratch = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "server", "demo", "--json", "--port", str(free_ports(6))]
    with (scratch / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data", str(scratch / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "HAWKER_DIE_WITH_PARENT": "1"},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (scratch / "demo.log").read_text()
        yield Demo(json.loads(line), scratch / "data")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        process.stdout.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed.PATH, args=[*installed.FLAGS, SLOW_CAMERA], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What every page showed when a test failed stands in its report."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("chromium")
    if report.when == "call" and report.failed and browser:
        for page in [page for context in browser.contexts for page in context.pages]:
            with contextlib.suppress(Error):
                words = page.locator("body").inner_text(timeout=10_000)
                report.sections.append((page.url, " | ".join(words.split("\n"))[:2000]))
    return report


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser of their own."""

    context: BrowserContext
    origin: str

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.goto(path if path.startswith("http") else f"{self.origin}{path}")
        return page

    def api(self, method: str, path: str, body: object = None) -> APIResponse:
        return self.context.request.fetch(
            f"{self.origin}{path}",
            method=method,
            data=body,
            headers={"Origin": self.origin},
            timeout=PATIENCE_MS,
        )


@pytest.fixture(scope="session")
def signed_in(demo: Demo, chromium: Browser) -> Callable[[str], Any]:
    """The cookies of a role's person. Signed in once: signing in is slow and limited, as it should be."""
    kept: dict[str, Any] = {}

    def cookies(role: str) -> Any:
        if role not in kept:
            context = chromium.new_context()
            answer = Person(context, demo.web_url).api("POST", "/api/auth/sign-in", demo.account(role))
            assert answer.ok, answer.text()
            kept[role] = context.storage_state()
            context.close()
        return kept[role]

    return cookies


@pytest.fixture
def visit(demo: Demo, chromium: Browser, signed_in: Callable[[str], Any]) -> Iterator[Callable[..., Person]]:
    """`visit("producer")` is that person, signed in, `visit()` a guest, on a screen of your choice."""
    opened: list[BrowserContext] = []

    def come(role: str | None = None, *, viewport: dict[str, int] = DESKTOP, scheme: str = "light") -> Person:
        context = chromium.new_context(
            viewport=viewport,
            color_scheme=scheme,
            permissions=["camera", "microphone"],
            storage_state=signed_in(role) if role else None,
            reduced_motion="reduce",  # nothing is half faded in when it is looked at
        )
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        return Person(context, demo.web_url)

    yield come
    for context in opened:
        context.close()


SETTLED = """
async (patienceMs) => {
  const ends = performance.now() + patienceMs;
  const frame = () => new Promise(requestAnimationFrame);
  const moves = () => document.getAnimations().some((one) => one.playState === 'running');
  await document.fonts.ready;
  do {
    if (performance.now() > ends) throw new Error('something is still to come, or moves');
    await frame();
    await frame();
  } while (document.querySelector('.skeleton') || moves());
}
"""


def violations(page: Page) -> list[str]:
    """What axe-core finds once the page has come to rest: rule, help, and the first place."""
    page.evaluate(SETTLED, PATIENCE_MS)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())  # not a script tag: the pages' content security policy refuses those
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {v['help']} ({v['nodes'][0]['html'][:160]})" for v in found["violations"]]


def until(condition: Callable[[], object], page: Page | None = None) -> None:
    """Asks until it is so. With a page whose frames a test answers, those are answered meanwhile."""
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s, "it never came true"
        if page:
            page.wait_for_timeout(50)
        else:
            time.sleep(0.05)
