"""A role of ours as a supervised child: started, asked for its health, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.embedded import child
from server.embedded.errors import StartError, failed_start

STOP_S = 10.0
_READY_S = 120.0
_PROBE_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Health:
    """Where `GET /healthz` is answered. A role bound to every address is asked on loopback."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to know that it is ready: by `health`, or by the file `ready_file` it makes."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    health: Health | None = None
    ready_file: Path | None = None
    keep_fds: Sequence[int] = ()
    stop_s: float = STOP_S
    ready_s: float = _READY_S

    async def start(self) -> Running:
        """Spawn it and wait until it is ready. Raises StartError with the end of its log."""
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        begin = self.log.stat().st_size if self.log.exists() else 0
        process = child.spawn(self.argv, log=self.log, env=self.env, keep_fds=self.keep_fds)
        running = Running(process, self.stop_s)
        try:
            await self._wait_ready(process, begin)
        except BaseException:
            await running.stop()
            raise
        return running

    async def _wait_ready(self, process: subprocess.Popen[bytes], begin: int) -> None:
        try:
            async with asyncio.timeout(self.ready_s):
                while not await self._is_ready():
                    if process.poll() is not None:
                        raise failed_start(
                            self.name, _text_from(self.log, begin), str(self.log), "role_failed"
                        )
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise StartError(
                "role_slow",
                f"{self.name} is not ready after {self.ready_s:.0f} s.",
                f"Look into {self.log}; start again.",
            ) from error

    async def _is_ready(self) -> bool:
        if self.ready_file:
            return self.ready_file.exists()
        return self.health is None or await answers_well(self.health)


@dataclass(frozen=True, slots=True)
class Running:
    """A started program."""

    process: subprocess.Popen[bytes]
    stop_s: float

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        await child.stop(self.process, timeout_s=self.stop_s)


async def answers_well(health: Health) -> bool:
    """Whether `GET /healthz` is answered with 200 within a few seconds."""
    try:
        async with asyncio.timeout(_PROBE_S):
            reader, writer = await asyncio.open_connection(health.reachable_host, health.port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


def _text_from(path: Path, begin: int) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, min(begin, end), end - 16_000))
        return file.read().decode(errors="replace")
    return ""
