"""The demo as a person starts it, and a real Chromium in front of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=30",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-networking",
    "--disable-component-update",
]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 60_000  # five browsers and the whole demo share two cores
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
            [*command, "--data", str(scratch / "data")], stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (scratch / "demo.log").read_text()
        yield Demo(json.loads(line), scratch / "data")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser of their own."""

    context: BrowserContext
    origin: str

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(path if path.startswith("http") else f"{self.origin}{path}")
        return page

    def api(self, method: str, path: str, body: object = None) -> APIResponse:
        return self.context.request.fetch(
            f"{self.origin}{path}", method=method, data=body, headers={"Origin": self.origin}
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
        opened.append(context)
        return Person(context, demo.web_url)

    yield come
    for context in opened:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds: rule, help, and the first place."""
    page.evaluate(AXE.read_text())  # not a script tag: the pages' content security policy refuses those
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {v['help']} ({v['nodes'][0]['html'][:160]})" for v in found["violations"]]
