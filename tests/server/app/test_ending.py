"""Roles as processes, told to end: they do, by themselves, within the time that their role states."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.role import STOP_S

ROLES = ("web", "overlay", "worker")


@pytest.fixture
def roles(
    migrated_database_url: str, redis_url: str, tmp_path: Path, free_ports: Callable[[int], int]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Started, perhaps not ready yet: `<name>.ready` appears when one is."""
    port = free_ports(5)
    own = {
        "HAWKER_DATABASE_URL": migrated_database_url,
        "HAWKER_REDIS_URL": redis_url,
        "HAWKER_SECRET_KEY": "k" * 43,
        "HAWKER_STRIPE_SECRET_KEY": "sk_test_" + "s" * 24,
        "HAWKER_STRIPE_PUBLISHABLE_KEY": "pk_test_" + "p" * 24,
        "HAWKER_STRIPE_WEBHOOK_SECRET": "whsec_" + "w" * 24,
        "HAWKER_STRIPE_API_URL": f"http://127.0.0.1:{port}",
        "HAWKER_DEMO": "yes",
        "HAWKER_WEB_PORT": str(port + 1),
        "HAWKER_OVERLAY_PORT": str(port + 2),
        "HAWKER_WORKER_PORT": str(port + 3),
        "HAWKER_PUBLIC_URL": f"http://127.0.0.1:{port + 1}",
        "HAWKER_OVERLAY_PUBLIC_URL": f"ws://127.0.0.1:{port + 2}",
        "HAWKER_DATA_DIR": str(tmp_path),
    }
    started = {}
    for name in ROLES:
        ready = {"HAWKER_READY_FILE": str(tmp_path / f"{name}.ready")}
        with (tmp_path / f"{name}.log").open("wb") as log:
            started[name] = subprocess.Popen(
                [sys.executable, "-m", "server", name],
                env={**os.environ, **own, **ready},
                stdout=log,
                stderr=log,
            )
    yield started
    for process in started.values():
        process.kill()
        process.wait(30)


async def _until(condition: Callable[[], bool], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_role_told_to_end_ends_by_itself_in_time(
    roles: dict[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    await _until(lambda: all((tmp_path / f"{name}.ready").exists() for name in ROLES), 180)
    for process in roles.values():
        process.send_signal(signal.SIGTERM)
    await _until(lambda: all(process.poll() is not None for process in roles.values()), STOP_S + 60)
    codes = {name: process.returncode for name, process in roles.items()}
    assert codes == dict.fromkeys(ROLES, 0), f"-14 is the alarm's, {STOP_S} s after the signal"
