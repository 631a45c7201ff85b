"""Keeps what was started running, and stops it in reverse order, stores last.

    start ─▶ running ─(died)─▶ backoff ─▶ start …        any state ─(stop)─▶ stopped

The first start of anything must succeed, or the whole start fails; later deaths are answered by starts with
growing pauses, for ever: on one box there is nobody else to bring it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from server.embedded.errors import StartError

_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_S = 30.0  # having run so long, the next death counts as the first
_WATCH_S = 0.1


class Running(Protocol):
    @property
    def process(self) -> subprocess.Popen[bytes]: ...
    @property
    def pid(self) -> int: ...
    async def stop(self) -> None: ...


Start = Callable[[], Awaitable[Running]]


class _Kept:
    """One thing kept running."""

    def __init__(self, name: str, start: Start, tell: Callable[[str], None]) -> None:
        self.name = name
        self.followers: list[_Kept] = []
        self._start = start
        self._tell = tell
        self.running: Running | None = None
        self._watch: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self.running = await self._start()
        self._watch = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _keep(self) -> None:
        deaths = 0
        clock = asyncio.get_running_loop().time
        while True:
            since = clock()
            while self.running is not None and self.running.process.poll() is None:
                await asyncio.sleep(_WATCH_S)
            if self.running is not None:
                self._tell(f"{self.name} ended (code {self.running.process.returncode}); starting it again")
            deaths = 0 if clock() - since > _STEADY_S else deaths
            await asyncio.sleep(_BACKOFF_S[min(deaths, len(_BACKOFF_S) - 1)])
            deaths += 1
            await self._again()

    async def _again(self) -> None:
        self.running = None
        try:
            self.running = await self._start()
            self._tell(f"{self.name} is back")
            for follower in self.followers:
                follower.renew()
        except StartError as error:
            self._tell(f"{self.name} can't start: {error}")

    def renew(self) -> None:
        """End it, so that it is started again."""
        if self.running and self.running.process.poll() is None:
            self.running.process.terminate()

    async def let_go(self) -> None:
        """From now on a death is nobody's business."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def end(self) -> None:
        if self.running:
            await self.running.stop()


class Supervisor:
    """Starts groups in order and keeps them; `tell` gets a line for people whenever something dies."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._groups: list[list[_Kept]] = []

    async def start(self, *programs: tuple[str, Start]) -> None:
        """Start a group together, and wait until all are ready. Raises the first StartError."""
        group = [_Kept(name, start, self._tell) for name, start in programs]
        self._groups.append(group)
        try:
            async with asyncio.TaskGroup() as tasks:
                for kept in group:
                    tasks.create_task(kept.begin())
        except* StartError as failed:
            raise failed.exceptions[0] from None

    def pids(self) -> dict[str, int]:
        """The process id of everything that runs right now."""
        kept: Sequence[_Kept] = [k for group in self._groups for k in group]
        return {k.name: k.running.pid for k in kept if k.running}

    async def stop(self) -> None:
        """Stop group after group, the last started first; a group's members at the same time."""
        await asyncio.gather(*(kept.let_go() for group in self._groups for kept in group))
        for group in reversed(self._groups):
            await asyncio.gather(*(kept.end() for kept in group))
        self._groups.clear()

    def follow(self, leader: str, follower: str) -> None:
        """Whenever `leader` had to be started again, start `follower` again, too."""
        named = {kept.name: kept for group in self._groups for kept in group}
        named[leader].followers.append(named[follower])

    def hurry(self, spare: frozenset[str]) -> None:
        """Kill at once whatever still runs, apart from `spare`: somebody asked twice."""
        for kept in (k for group in self._groups for k in group):
            if kept.running and kept.name not in spare and kept.running.process.poll() is None:
                kept.running.process.kill()
