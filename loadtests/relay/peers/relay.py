"""A relay that runs, and how a program of somebody else's is started as one."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

START_S = 20.0


@dataclass(frozen=True, slots=True)
class Relay:
    """`whip` and `whep` are addresses as `entrance` reads them."""

    pid: int
    whip: str
    whep: str

    def cpu_s(self) -> float:
        """Of all its threads, in and for the kernel too (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class Kind(Protocol):
    """What `versus` has to know of a peer: one module each."""

    NAME: str

    def version(self, program: Path) -> str: ...

    def running(self, program: Path) -> AbstractContextManager[Relay]:
        """Started anew on loopback, without a word on stdout, and ended with the block. RuntimeError when it
        does not start."""
        ...


def version_of(program: Path) -> str:
    """What it says of itself."""
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=START_S
    )
    return done.stdout.strip()


@contextlib.contextmanager
def listening(
    command: Callable[[Path], list[str]], http: int, environment: dict[str, str] | None = None
) -> Iterator[int]:
    """The pid of a program that accepts on the TCP port `http`. `command` gets a folder of the program's own,
    empty, to write its settings to."""
    with tempfile.TemporaryDirectory() as folder:
        words = command(Path(folder))
        with subprocess.Popen(
            words, cwd=folder, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL
        ) as process:
            try:
                _wait_until_it_listens(process, http)
                yield process.pid
            finally:
                process.kill()  # asked to end, some wait for everybody to leave


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen: does it run by itself?")
