"""Supervision with real processes: small servers that die, hang or refuse on command."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from server.embedded import data_directory
from server.embedded.errors import StartError
from server.embedded.ports import Port, check_free
from server.embedded.program import Health, Program
from server.embedded.supervisor import Running, Start, Supervisor

_SERVER = """
import http.server, os, signal, sys
if "fail" in sys.argv: sys.exit("no good: settings are wrong")
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


Make = Callable[..., Program]


def _program(directory: Path, port: int, *words: str, stop_s: float = 5.0, name: str = "web") -> Program:
    argv = [sys.executable, "-S", "-c", _SERVER, str(port), *words]
    return Program(
        name, argv, dict(os.environ), directory / f"{name}.log", Health("127.0.0.1", port), stop_s=stop_s
    )


def _starter(program: Program) -> tuple[str, Start]:
    async def start() -> Running:
        return await program.start()

    return program.name, start


@pytest.fixture
def make_program(tmp_path: Path, free_ports: Callable[[int], int]) -> Make:
    """`_program` with its place and port."""

    def make(*words: str, **options: Any) -> Program:
        return _program(tmp_path, free_ports(1), *words, **options)

    return make


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
async def supervisor(told: list[str]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(told.append)
    yield supervisor
    await supervisor.stop()


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _until(condition: object, timeout_s: float = 30) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_what_dies_is_started_again(
    make_program: Make, supervisor: Supervisor, told: list[str]
) -> None:
    await supervisor.start(_starter(make_program()))
    first = supervisor.pids()["web"]
    os.kill(first, signal.SIGKILL)
    await _until(lambda: supervisor.pids().get("web", first) != first)
    assert any("web ended (code -9)" in line for line in told)


async def test_a_follower_is_renewed_when_its_leader_was(make_program: Make, supervisor: Supervisor) -> None:
    await supervisor.start(_starter(make_program(name="stream")), _starter(make_program(name="show")))
    supervisor.follow("stream", "show")
    first = supervisor.pids()
    os.kill(first["stream"], signal.SIGKILL)
    await _until(lambda: supervisor.pids().get("show", first["show"]) != first["show"])
    assert supervisor.pids()["stream"] != first["stream"]


async def test_a_failed_first_start_tells_the_end_of_the_log(
    make_program: Make, supervisor: Supervisor
) -> None:
    with pytest.raises(StartError) as caught:
        await supervisor.start(_starter(make_program()), _starter(make_program("fail", name="worker")))
    assert caught.value.code == "role_failed"
    assert "worker" in str(caught.value)
    assert "settings are wrong" in str(caught.value)


async def test_everything_stops_in_reverse_even_the_deaf(make_program: Make, told: list[str]) -> None:
    supervisor = Supervisor(told.append)
    await supervisor.start(_starter(make_program(name="store")))
    await supervisor.start(_starter(make_program("deaf", name="web", stop_s=0.3)))
    pids = supervisor.pids()
    stop = asyncio.create_task(supervisor.stop())
    while not stop.done():
        store, web = _exists(pids["store"]), _exists(pids["web"])  # in this order
        assert store or not web, "stores outlive the roles"
        await asyncio.sleep(0.005)
    await stop
    assert not [name for name, pid in pids.items() if _exists(pid)]
    assert not told


def test_a_killed_supervisor_leaves_no_child(tmp_path: Path, free_ports: Callable[[int], int]) -> None:
    parent = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import test_supervision as t
async def main():
    running = await t._program(Path({str(tmp_path)!r}), {free_ports(1)}).start()
    print(running.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 120
    status = Path(f"/proc/{pid}/status")
    while status.exists() and "State:\tZ" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_a_port_in_use_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(StartError) as caught:
            check_free([Port("web", "127.0.0.1", number)], "Take others: --port 9400.")
    assert caught.value.code == "port_in_use"
    assert str(number) in str(caught.value)
    assert "--port 9400" in str(caught.value)


def test_a_udp_port_in_use_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        with pytest.raises(StartError, match=str(number)):
            check_free([Port("media", "127.0.0.1", number, udp=True)], "Take others.")


async def test_a_data_directory_serves_one_run_at_a_time(tmp_path: Path, told: list[str]) -> None:
    async with data_directory.opened(tmp_path / "data", told.append):
        with pytest.raises(StartError) as caught:
            async with data_directory.opened(tmp_path / "data", told.append):
                raise AssertionError("opened twice")
    assert caught.value.code == "data_in_use"
    assert str(os.getpid()) in str(caught.value)
    async with data_directory.opened(tmp_path / "data", told.append):
        pass


async def test_a_start_waits_for_children_of_a_killed_run(tmp_path: Path) -> None:
    told: list[str] = []
    async with data_directory.opened(tmp_path / "data", told.append) as directory:
        child = subprocess.Popen(["/bin/sleep", "600"], pass_fds=[directory.lock])  # noqa: ASYNC220
        (tmp_path / "data" / "lock").write_text("999999999\n")

    def waits(line: str) -> None:
        told.append(line)
        child.kill()

    async with data_directory.opened(tmp_path / "data", waits):
        assert child.wait(30) == -signal.SIGKILL
    assert told == ["waiting for a run that was killed to finish its shutdown"]


async def test_secrets_are_made_once_and_private(tmp_path: Path, told: list[str]) -> None:
    async with data_directory.opened(tmp_path, told.append) as directory:
        first = directory.document("secrets.json", data_directory.new_secrets)
        assert directory.document("secrets.json", data_directory.new_secrets) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


async def test_a_full_disk_is_told(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = data_directory.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(data_directory.shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(StartError) as caught:
        async with data_directory.opened(tmp_path / "data", told.append):
            raise AssertionError("opened on a full disk")
    assert caught.value.code == "disk_full"
