"""WHIP and WHEP clients of other makers, from their packages as they are, on the running demo."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Demo, Person, until
from tests.browser.picture import seen_moving

pytestmark = pytest.mark.browser
WEB = Path(__file__).resolve().parents[2] / "web"

PLAY = """
async (url) => {
  document.body.replaceChildren();
  const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
  document.body.append(video);
  window.player = new WebRTCPlayer({ video, type: 'whep', iceServers: [], statsTypeFilter: '^none$' });
  await player.load(new URL(url));
}
"""
PUBLISH = """
async ([endpoint, authkey]) => {
  const late = new Promise((_, never) => setTimeout(() => never(new Error('not on air')), 120_000));
  const client = new WHIPClient({ endpoint, opts: { authkey, iceServers: [], noTrickleIce: true } });
  window.client = client;
  const camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  await Promise.race([client.ingest(camera), late]);
}
"""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One script with the packages in it."""
    out = tmp_path_factory.mktemp("players")
    vite = [str(WEB / "node_modules/.bin/vite"), "build", "--config", "tests/players/vite.config.ts"]
    subprocess.run([*vite, "--outDir", str(out), "--logLevel", "error"], cwd=WEB, check=True, timeout=300)
    return (out / "players.js").read_text()


def picture_of(person: Person, show_id: str) -> str:
    return str(person.api("GET", f"/api/shows/{show_id}").json()["picture"])


def bare_page(person: Person, clients: str) -> Page:
    """A document of the demo's origin that is nothing of ours, with the clients on it."""
    page = person.open("/studio/none")
    page.evaluate(clients)
    return page


def test_a_player_of_another_maker_plays_the_show(
    demo: Demo, visit: Callable[..., Person], clients: str
) -> None:
    viewer = visit()
    page = bare_page(viewer, clients)
    until(lambda: picture_of(viewer, demo.report["show_id"]) == "live")  # the player asks once
    page.evaluate(PLAY, demo.report["whep_url"])
    seen_moving(page)
    page.evaluate("player.destroy()")


def test_a_publisher_of_another_maker_goes_on_air(
    demo: Demo, visit: Callable[..., Person], clients: str
) -> None:
    whip, viewer = demo.report["whip"], visit()
    until(lambda: picture_of(viewer, whip["show_id"]) != "live")  # a host of another test may be leaving
    host, page = bare_page(visit(), clients), bare_page(viewer, clients)
    host.evaluate(PUBLISH, [whip["url"], whip["token"]])
    until(lambda: picture_of(viewer, whip["show_id"]) == "live")
    page.evaluate(PLAY, whip["whep_url"])
    seen_moving(page)
    host.evaluate("client.destroy()")
