"""Backups of PostgreSQL that can be wound forward to any moment: copies of it, and the WAL written since.

    DIR/base/20261122T083000Z/   a whole copy of the cluster, named by when it was complete
    DIR/wal/                     every WAL segment since, put there by PostgreSQL itself

The embedded PostgreSQL archives by itself where HAWKER_BACKUP_DIR is set; one of the operator's own needs the
same settings (deploy/backup.md). Copies are taken over the connection: one command serves both kinds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from server.embedded import child, places, postgres
from server.embedded.child import Account
from server.embedded.errors import StartError

_NAME = "%Y%m%dT%H%M%SZ"
_BACKUP_S = 4 * 3600.0
RECOVERY_S = 4 * 3600.0
ARCHIVE_TIMEOUT_S = 60  # the most that the loss of the whole machine can cost


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete base backup, and when it was complete: it can be wound forward from there, not back."""

    path: Path
    at: datetime


def archiving(directory: str | Path, home: Path) -> dict[str, str]:
    """Settings with which the embedded PostgreSQL of `home` archives its WAL below `directory`."""
    account = places.unprivileged_account(home)
    above = places.own_directory(Path(directory).expanduser().absolute(), account)
    wal = places.own_directory(above / "wal", account)
    return {
        "wal_level": "replica",
        "max_wal_senders": "3",
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": str(wal),
        "archive_timeout": f"{ARCHIVE_TIMEOUT_S}s",
    }


def backups(directory: Path) -> list[Backup]:
    """The complete base backups, oldest first."""
    found = []
    for path in sorted((directory / "base").glob("*Z")):
        with contextlib.suppress(ValueError):
            found.append(Backup(path, datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)))
    return found


async def take(database_url: str, home: Path, directory: Path, log: Path, *, keep: int) -> Backup:
    """Copy the cluster of `database_url` and check the copy; keep the newest `keep` and the WAL they need.

    Raises StartError `backup_failed`, `no_archive`.
    """
    await _require_archive(database_url)
    tools = postgres.lay_out(home, log)
    base = places.own_directory(places.own_directory(directory, tools.account) / "base", tools.account)
    partial = base / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    url, password = without_password(database_url)
    copy = [f"--pgdata={partial}", f"--dbname={url}", "--checkpoint=fast", "--wal-method=stream"]
    await _run(tools, "pg_basebackup", [*copy, "--no-password"], password)
    await _run(tools, "pg_verifybackup", ["--quiet", str(partial)])
    at = datetime.now(UTC)
    partial.rename(base / at.strftime(_NAME))
    await _prune(tools, directory, keep)
    return backups(directory)[-1]


async def _require_archive(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        mode = await connection.fetchval("SHOW archive_mode")
    finally:
        await connection.close(timeout=5)
    if mode == "off":
        raise StartError(
            "no_archive",
            "This PostgreSQL archives no WAL, so that a backup could not be wound forward.",
            "Restart `hawker up` with HAWKER_BACKUP_DIR set, or set archive_mode (deploy/backup.md).",
        )


async def _prune(tools: postgres.Cluster, directory: Path, keep: int) -> None:
    """Forget backups beyond `keep`, and WAL from before the oldest that is left."""
    known = backups(directory)
    for backup in known[:-keep]:
        shutil.rmtree(backup.path)
    oldest = known[-keep:][0]
    first = _first_segment(oldest.path / "backup_label")
    if (directory / "wal").exists():
        await _run(tools, "pg_archivecleanup", [str(directory / "wal"), first])


def _first_segment(label: Path) -> str:
    """`START WAL LOCATION: 0/2000028 (file 000000010000000000000002)`"""
    line = label.read_text().splitlines()[0]
    return line[line.index("(file ") + 6 : line.index(")")]


def without_password(database_url: str) -> tuple[str, dict[str, str]]:
    """The URL as it may show in `ps`, and the password as libpq takes it from the environment."""
    parts = urlsplit(database_url)
    if parts.password is None:
        return database_url, {}
    user, place = parts.netloc.rsplit("@", 1)
    url = urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{place}"))
    return url.replace(":///", "://@/"), {"PGPASSWORD": unquote(parts.password)}


async def _run(
    tools: postgres.Cluster, program: str, words: Sequence[str], more: Mapping[str, str] | None = None
) -> None:
    process = child.spawn(
        [str(tools.binaries / program), *words],
        log=tools.log,
        env={**tools.environment(), **(more or {})},
        account=tools.account,
        cwd=Path("/"),
    )
    if not await child.ended(process, _BACKUP_S) or process.returncode != 0:
        await child.stop(process)
        raise StartError(
            "backup_failed",
            f"{program} failed (code {process.returncode}).",
            f"Look into {tools.log}; see that the disk has room and the user may replicate.",
        )


def chosen(directory: Path, until: datetime | None) -> Backup:
    """The newest base backup from which `until` (None: the end) can be reached.

    Raises StartError `no_backup`.
    """
    usable = [backup for backup in backups(directory) if until is None or backup.at <= until]
    if not usable:
        when = f" from before {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
        raise StartError(
            "no_backup", f"There is no base backup{when} in {directory}.", "Choose a later time."
        )
    return usable[-1]


async def restore(
    backup: Backup, directory: Path, home: Path, log: Path, until: datetime | None
) -> Path | None:
    """Put a cluster in `home` that is as it was at `until`, and leave it stopped.

    What was there is moved aside (its path now). Raises StartError `restore_failed`: nothing has changed.
    """
    tools = postgres.lay_out(home, log)
    partial = tools.data.with_name("data.restored")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(backup.path, partial, symlinks=True)
    (partial / "recovery.signal").touch()
    _hand_over(partial, tools.account)
    aside = moved_aside(tools.data)
    partial.rename(tools.data)
    try:
        server = await postgres.start(home, log, settings=_recovery(directory, until), ready_s=RECOVERY_S)
        await server.stop()
    except StartError as error:
        tools.data.rename(partial)
        if aside:
            aside.rename(tools.data)
        remedy = f"Leave --to out for all that was archived, or choose an earlier time; see {log}."
        raise StartError("restore_failed", error.problem, remedy) from error
    return aside


def _recovery(directory: Path, until: datetime | None) -> Mapping[str, str]:
    target = {"recovery_target_time": until.isoformat(sep=" ")} if until else {}
    return {
        "restore_command": f'cp "{directory.resolve()}/wal/%f" "%p"',
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
        "hot_standby": "off",  # nobody reads meanwhile, so the old settings need not be known
        **target,
    }


def moved_aside(path: Path) -> Path | None:
    """Out of the way, never deleted: a restore may have been to the wrong moment."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.before-{datetime.now(UTC).strftime(_NAME)}")
    path.rename(aside)
    return aside


def _hand_over(directory: Path, account: Account | None) -> None:
    directory.chmod(0o700)
    if account is None:
        return
    for path in (directory, *directory.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
