"""All roles on one box: their addresses, their environments, and the order in which they start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from server.embedded import data_directory
from server.embedded.data_directory import DataDirectory
from server.embedded.errors import StartError
from server.embedded.ports import Port
from server.embedded.program import STOP_S, Health, Program
from server.embedded.progress import Progress
from server.embedded.stores import StoreUrls, start_stores
from server.embedded.supervisor import Running, Start, Supervisor

STORES = frozenset({"postgres", "valkey"})
SHOP = ("web", "overlay", "stream", "worker")
TITLES = {
    "simulator": "payment simulator",
    "web": "pages and shop",
    "overlay": "live room",
    "stream": "media relay",
    "worker": "background jobs",
    "programme": "show on air",
}
# Stand in for the embedded stores' addresses while settings are checked, before those stores run.
STORE_PLACEHOLDERS = {"HAWKER_DATABASE_URL": "postgresql://embedded/", "HAWKER_REDIS_URL": "unix:///embedded"}
_LISTENING = ("WEB", "OVERLAY", "STREAM_HTTP", "STREAM_UDP", "SIMULATOR")
# glibc gives every thread an arena of its own; two are enough here and save tens of MB.
_THRIFT = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Every port of a box, counted from one base."""

    host: str
    base: int

    def port(self, role: str) -> int:
        offsets = {"web": 0, "overlay": 1, "stream": 2, "media": 3, "simulator": 4, "worker": 5}
        return self.base + offsets[role]

    def url(self, role: str, scheme: str = "http") -> str:
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"{scheme}://{f'[{shown}]' if ':' in shown and shown[0] != '[' else shown}:{self.port(role)}"

    def ports(self) -> list[Port]:
        return [
            Port(TITLES.get(role, role), self.host, self.port(role), udp=role == "media")
            for role in ("web", "overlay", "stream", "media", "simulator", "worker")
        ]

    def environment(self) -> dict[str, str]:
        return {
            **{f"HAWKER_{part}_HOST": self.host for part in _LISTENING},
            "HAWKER_WORKER_HOST": "127.0.0.1",
            "HAWKER_WEB_PORT": str(self.port("web")),
            "HAWKER_OVERLAY_PORT": str(self.port("overlay")),
            "HAWKER_STREAM_HTTP_PORT": str(self.port("stream")),
            "HAWKER_STREAM_UDP_PORT": str(self.port("media")),
            "HAWKER_SIMULATOR_PORT": str(self.port("simulator")),
            "HAWKER_WORKER_PORT": str(self.port("worker")),
            "HAWKER_PUBLIC_URL": self.url("web"),
            "HAWKER_OVERLAY_PUBLIC_URL": self.url("overlay", "ws"),
            "HAWKER_STREAM_PUBLIC_URL": self.url("stream"),
        }


Compose = Callable[[DataDirectory], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Box:
    """A locked data directory, running stores and the roles beside them."""

    directory: DataDirectory
    supervisor: Supervisor
    progress: Progress
    stores: StoreUrls
    environ: Mapping[str, str]

    def role_environment(self) -> dict[str, str]:
        """What every role of this box is told: the caller's settings, the stores, and no other `HAWKER_*`."""
        return {
            **data_directory.inherited(os.environ),
            **_THRIFT,
            **self.environ,
            "HAWKER_DATABASE_URL": self.stores.database,
            "HAWKER_REDIS_URL": self.stores.redis,
            "HAWKER_DATA_DIR": str(self.directory.path),
        }

    def program(
        self,
        role: str,
        health: Health | None,
        more: Mapping[str, str] = MappingProxyType({}),
        *,
        name: str = "",
        stop_s: float = STOP_S,
    ) -> Program:
        """`python -m server ROLE` in this box; without `health` it makes a file once it is ready. It is told
        `more` beside the box's environment; `name` is for one of several of a role."""
        ready = None if health else self.directory.path / f"{role}.ready"
        env = {**self.role_environment(), **more, **({"HAWKER_READY_FILE": str(ready)} if ready else {})}
        return Program(
            name or role,
            [sys.executable, "-m", "server", role],
            env,
            self.directory.logs / f"{name or role}.log",
            health,
            ready,
            keep_fds=[self.directory.lock],
            stop_s=stop_s,
        )

    def started(self, program: Program, title: str = "") -> tuple[str, Start]:
        """The program as the supervisor takes it; its first start is shown as a step."""
        shown = False

        async def start() -> Running:
            nonlocal shown
            if shown:
                return await program.start()
            shown = True
            with self.progress.step(title or TITLES.get(program.name, program.name)):
                return await program.start()

        return program.name, start


@asynccontextmanager
async def opened(path: Path, compose: Compose, progress: Progress) -> AsyncIterator[Box]:
    """Lock `path`, start the stores and bring the schema up to date; on the way out everything is stopped.

    `compose` makes the roles' settings, before anything is started. Raises StartError.
    """
    supervisor = Supervisor(progress.tell)
    async with data_directory.opened(path, progress.tell) as directory:
        with _stopping_on_signals(supervisor):
            try:
                environ = compose(directory)
                stores = await start_stores(supervisor, directory, environ, progress)
                await _migrate(stores, progress)
                yield Box(directory, supervisor, progress, stores, environ)
            finally:
                await supervisor.stop()


async def _migrate(stores: StoreUrls, progress: Progress) -> None:
    from server.store import migrate
    from server.store.pool import StoreError

    with progress.step("database schema"):
        try:
            await migrate.upgrade(stores.database)
        except StoreError as error:
            raise StartError(error.code, error.problem, error.remedy) from error


@contextlib.contextmanager
def _stopping_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP cancels the work at hand; a second Ctrl-C hurries the stop.

    Only a second Ctrl-C: SIGTERM comes twice when make is ended, from make and from the kernel.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked: set[signal.Signals] = set()

    def ask(number: signal.Signals) -> None:
        if not asked and task:
            task.cancel()
        elif number is signal.SIGINT and number in asked:
            supervisor.hurry(STORES)
        asked.add(number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, ask, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
