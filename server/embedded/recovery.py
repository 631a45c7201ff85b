"""`hawker backup` and `hawker restore`: copies of a box, and the way back to any moment since."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.config import Settings
from server.embedded import backup, data_directory, postgres
from server.embedded.backup import Backup
from server.embedded.errors import StartError
from server.embedded.progress import Lines
from server.store import migrate
from server.store.pool import connect
from server.store.verify import Report, verify


@dataclass(frozen=True, slots=True)
class Restored:
    """What the books say now, and where that which was replaced is kept."""

    report: Report
    aside: tuple[Path, ...]


def moment(text: str) -> datetime:
    """A time from the command line, in UTC. Raises StartError `bad_time`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise StartError("bad_time", f"{text!r} is no time.", "Write it as 2026-11-22T20:15:00Z.") from error
    if at.tzinfo is None:
        raise StartError("bad_time", f"{text!r} says no time zone.", "Add it: Z for UTC, or +01:00.")
    return at.astimezone(UTC)


async def back_up(settings: Settings, database_url: str, keep: int) -> Backup:
    """Copy the database to HAWKER_BACKUP_DIR. Raises StartError."""
    log = settings.data_dir.absolute() / "logs" / "backup.log"
    return await backup.take(
        database_url, settings.data_dir.absolute() / "postgres", _directory(settings), log, keep=keep
    )


async def wind_back(settings: Settings, until: datetime | None) -> Restored:
    """Restore the embedded PostgreSQL, empty the gate, prove the books. The box must be stopped.

    Raises StartError; then nothing has changed.
    """
    if settings.database_url:
        raise StartError(
            "not_embedded",
            "HAWKER_DATABASE_URL names a PostgreSQL of yours; only the embedded one is wound back from here.",
            "deploy/backup.md says how it is done with yours.",
        )
    directory = _directory(settings)
    newest = backup.chosen(directory, until)
    async with data_directory.opened(settings.data_dir, Lines(1, sys.stderr).tell) as data:
        home, log = data.path / "postgres", data.logs / "postgres.log"
        aside = [await backup.restore(newest, directory, home, log, until)]
        aside.append(backup.moved_aside(data.path / "valkey"))
        report = await proof(home, log, backup.archiving(directory, home))
    return Restored(report, tuple(path for path in aside if path))


async def proof(home: Path, log: Path, archiving: dict[str, str]) -> Report:
    """Start the restored cluster, make both daily checks due again, and verify."""
    server = await postgres.start(home, log, settings=archiving)
    try:
        await migrate.upgrade(server.url)
        connection = await connect(server.url)
        await connection.execute("DELETE FROM job_marks")
        await connection.close(timeout=5)
        return await verify(server.url)
    finally:
        await server.stop()


def _directory(settings: Settings) -> Path:
    if not settings.backup_dir:
        raise StartError(
            "settings_invalid",
            "HAWKER_BACKUP_DIR is not set.",
            "Set it to a directory on another disk (deploy/backup.md).",
        )
    return Path(settings.backup_dir).expanduser().absolute()
