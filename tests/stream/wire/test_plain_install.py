"""Installed where there is no compiler: it installs, says so once, and viewers get the same."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from loadtests.relay.publisher import Identity, Publisher
from loadtests.relay.stream import Shape
from loadtests.relay.viewers import Crowd

ROOT = Path(__file__).parents[3]
NODE = """
from stream.wire import fanout
from loadtests.relay.node import main
fanout.LATE_S = 60.0  # on a busy machine, too, viewers get every packet
main()
"""
PARTS = ("stream", "loadtests", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip install` of a fresh copy with a compiler that always fails."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, source / part, ignore=shutil.ignore_patterns("*.so", "__pycache__", "build")
            )
        else:
            shutil.copy(ROOT / part, source)
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-index", "--no-deps"]
    run = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(source)],
        env=os.environ | {"CC": "false"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    return target


@pytest.fixture
def node(installed: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", NODE],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=installed,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def test_nothing_native_is_there(installed: Path) -> None:
    assert not list(installed.glob("**/_fanout*.so"))
    assert (installed / "stream/wire/_fanout_plain.py").exists()


async def test_it_says_so_once_and_relays_all_the_same(node: subprocess.Popen[str]) -> None:
    assert node.stdout is not None
    base = f"http://127.0.0.1:{json.loads(node.stdout.readline())['http_port']}"
    publisher = Publisher(Identity(), Shape(200_000, keyframe_packets=20), ignore_pli=True, pace=50_000_000)
    crowd = Crowd(f"{base}/whep?ticket=view", "", viewers=5, sample=5)
    async with aiohttp.ClientSession() as crowd.http:
        async with crowd.http.get(f"{base}/healthz") as health:
            fanout = (await health.json())["parts"]["fanout"]
        assert (fanout["native"], fanout["gso"]) == (False, False)
        on_air = asyncio.Event()
        publishing = asyncio.create_task(publisher.run(f"{base}/whip?ticket=publish", "", 600, on_air))
        await asyncio.wait_for(on_air.wait(), 60)
        await crowd.join(50)
        async with asyncio.timeout(60):
            while crowd.figures()["no_picture"] or crowd.figures()["packets"] < 500:
                await asyncio.sleep(0.05)
        figures = crowd.figures()
        await crowd.leave()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    assert (figures["viewers"], figures["failed"], figures["no_picture"]) == (5, 0, 0)
    assert (figures["repeated"], figures["reordered"]) == (0, 0)
    assert figures["lost"] <= figures["overflowed"], "what the kernel drops where we are slow to read"
    _, said = node.communicate("", timeout=60)
    assert said.count("plain Python path") == 1, said[-2000:]
