"""The whole demo as a person starts it: what it prints, what it refuses, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(store_directory: Path) -> Path:
    return store_directory / "demo"


def _start(data: Path, port: int) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HAWKER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "server", "demo", "--json", "--port", str(port), "--data", str(data)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _report(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return dict(json.loads(line))


def _left(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def _wait_gone(pids: dict[str, int]) -> None:
    deadline = time.monotonic() + 120
    while _left(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _left(pids)


def test_the_demo_starts_refuses_a_second_dies_whole_and_finds_its_data_again(
    data: Path, free_ports: Callable[[int], int]
) -> None:
    port = free_ports(6)
    with _start(data, port) as first:
        report = _report(first)
        assert {"web_url", "overlay_url", "show_id", "viewer_url", "studio_url", "console_url"} <= set(report)
        assert set(report["whip"]) >= {"url", "token"}
        assert report["whep_url"].startswith(report["web_url"])
        assert set(report["accounts"]) == {"owner", "host", "producer", "moderator", "viewer"}
        roles = {"postgres", "valkey", "simulator", "web", "overlay", "stream", "worker", "programme"}
        assert set(report["pids"]) == {"hawker", *roles}
        assert (data / "demo.json").stat().st_mode & 0o777 == 0o600
        _refuses_a_second(data, free_ports(6))
        os.kill(first.pid, signal.SIGKILL)
    _wait_gone(report["pids"])
    with _start(data, port) as second:
        again = _report(second)
        assert again["accounts"] == report["accounts"]
        assert again["show_id"] == report["show_id"]
        assert again["whip"]["token"] != report["whip"]["token"], "stream keys are rotated"
        second.send_signal(signal.SIGINT)
        rest, log = second.communicate(timeout=300)
    assert rest == ""
    assert second.returncode == 0
    assert "Everything is stopped" in log
    _wait_gone(again["pids"])
    for secret in (again["whip"]["token"], again["accounts"]["owner"]["password"]):
        assert not [path for path in (data / "logs").iterdir() if secret in path.read_text(errors="replace")]


def _refuses_a_second(data: Path, port: int) -> None:
    with _start(data, port) as other:
        out, log = other.communicate(timeout=300)
    assert out == ""
    assert other.returncode == 1
    assert "[data_in_use]" in log
