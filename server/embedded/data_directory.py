"""The one directory that a box keeps everything in: locked while in use, with secrets made once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.embedded.errors import StartError

_FREE_BYTES = 256 * 1024 * 1024
_LEFTOVERS_S = 30.0  # children of a killed run shut down cleanly; they hold the lock until they have


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths below the directory, and the descriptor of its lock, which every child inherits.

    The lock thus ends with the last child: a start right after a kill waits for stores that still shut down.
    """

    path: Path
    lock: int

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def document(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The JSON file `name` (0600), made on first use."""
        path = self.path / name
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads(path.read_text()))
        made = make()
        write_private(path, json.dumps(made, indent=2) + "\n")
        return made


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, readable by its owner alone, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def new_secrets() -> dict[str, str]:
    """What a box on its own signs with, and the keys of its payment simulator."""
    return {
        "secret_key": secrets.token_urlsafe(48),
        "stripe_secret_key": f"sk_test_{secrets.token_hex(24)}",
        "stripe_publishable_key": f"pk_test_{secrets.token_hex(24)}",
        "stripe_webhook_secret": f"whsec_{secrets.token_hex(24)}",
    }


@asynccontextmanager
async def opened(path: Path, on_wait: Callable[[str], None]) -> AsyncIterator[DataDirectory]:
    """Make, check and lock the directory.

    Raises StartError: `data_unwritable`, `disk_full`, `data_in_use`.
    """
    path = _made(path)
    _check_space(path)
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _lock(descriptor, path, on_wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield DataDirectory(path, descriptor)
    finally:
        os.close(descriptor)


def _made(path: Path) -> Path:
    path = path.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
        (path / "logs").mkdir(exist_ok=True)
    except OSError as error:
        if "No space left" in str(error):
            raise _disk_full(path) from error
        raise StartError(
            "data_unwritable",
            f"The data directory {path} can't be written: {error.strerror}.",
            "Choose another.",
        ) from error
    return path


def _check_space(path: Path) -> None:
    if shutil.disk_usage(path).free < _FREE_BYTES:
        raise _disk_full(path)


def _disk_full(path: Path) -> StartError:
    return StartError(
        "disk_full",
        f"The disk of {path} has less than {_FREE_BYTES // 1024 // 1024} MB left.",
        "Free some space, or choose a data directory on another disk.",
    )


async def _lock(descriptor: int, path: Path, on_wait: Callable[[str], None]) -> None:
    deadline = asyncio.get_running_loop().time() + _LEFTOVERS_S
    told = False
    while not _try_lock(descriptor):
        holder = int(os.pread(descriptor, 20, 0).strip() or b"0")
        if _runs(holder) or asyncio.get_running_loop().time() > deadline:
            raise StartError(
                "data_in_use",
                f"The data directory {path} is in use by the process {holder}.",
                "Stop that one first, or choose another data directory.",
            )
        if not told:
            on_wait("waiting for a run that was killed to finish its shutdown")
        told = True
        await asyncio.sleep(0.05)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(pid: int) -> bool:
    try:
        return pid > 0 and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables of ours that any child may see: no `HAWKER_*`, those are composed for each role."""
    return {name: value for name, value in environ.items() if not name.startswith("HAWKER_")}
