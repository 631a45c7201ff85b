"""One child process that never outlives us.

The kernel signals the child when the *thread* that spawned it dies (PR_SET_PDEATHSIG, prctl(2)), so children
are spawned from the main thread, without asyncio's child watchers: polling a Popen needs no event loop of its
own and works from tests, too. Each child has a session of its own, so that a Ctrl-C at the terminal reaches
the supervisor alone, which then stops children in its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.01
_LOG_KEPT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """The system user a child runs as."""

    name: str
    uid: int
    gid: int


def tied_to_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs between fork and exec, so that our death sends it `death_signal`. Linux only."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return bind


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; a log that has grown large is put aside first as `*.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_KEPT_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    cwd: Path | None = None,
    stdout: int | None = None,
    keep_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child whose output goes to the file `log` (`stdout` apart, if given). Main thread only."""
    descriptor = open_log(log)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=descriptor if stdout is None else stdout,
            stderr=descriptor,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=tuple(keep_fds),
            preexec_fn=tied_to_parent(death_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    finally:
        os.close(descriptor)


async def ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait until the process has ended; False when it still runs after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while process.poll() is None:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def stop(
    process: subprocess.Popen[bytes], polite: signal.Signals = signal.SIGTERM, timeout_s: float = 10.0
) -> None:
    """End a child: `polite` first, SIGKILL for what is left of its process group after `timeout_s`."""
    if process.poll() is None:
        process.send_signal(polite)
        if not await ended(process, timeout_s):
            process.kill()
            await ended(process, 5.0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
