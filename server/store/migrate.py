"""Bring a database to the newest schema.

The work is done by Alembic in a process of its own, which ends with it: SQLAlchemy and Alembic would cost
every role some 40 MB. A database that is already there is recognised without them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

from server.store.pool import StoreError, connect

OLDEST_POSTGRES = 150_000
UPGRADE_TIMEOUT_S = 120.0
_MIGRATIONS = Path(__file__).with_name("migrations")
_ROOT = Path(__file__).parents[2]


def newest_revision() -> str:
    """The newest revision's number, taken from the file names (`r0001_ground.py`)."""
    return max(path.name[1:5] for path in (_MIGRATIONS / "versions").glob("r[0-9]*.py"))


async def upgrade(database_url: str) -> None:
    """Create or upgrade the schema, or leave it where it is the newest. Many starts may call it at once.

    Raises StoreError: `database_down`, `postgres_too_old`, `database_newer`, `migration_failed`.
    """
    revision = await _checked_revision(database_url)
    if revision == newest_revision():
        return
    if revision is not None and revision > newest_revision():
        raise StoreError(
            "database_newer",
            f"The database has schema {revision}, this program knows {newest_revision()}.",
            "Run the version that upgraded it, or a newer one.",
        )
    await _upgrade_in_child(database_url)


async def _checked_revision(database_url: str) -> str | None:
    connection = await connect(database_url)
    try:
        version = int(await connection.fetchval("SHOW server_version_num"))
        if version < OLDEST_POSTGRES:
            raise StoreError(
                "postgres_too_old",
                f"This is PostgreSQL {version // 10_000}.",
                f"Use PostgreSQL {OLDEST_POSTGRES // 10_000} or newer.",
            )
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close(timeout=5)


async def _upgrade_in_child(database_url: str) -> None:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.store.migrate",
        env={**os.environ, "PYTHONPATH": path, "HAWKER_DATABASE_URL": database_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(UPGRADE_TIMEOUT_S):
            _, stderr = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise _failed(f"It took more than {UPGRADE_TIMEOUT_S:.0f} s.") from None
    if child.returncode != 0:
        raise _failed("\n".join(stderr.decode(errors="replace").splitlines()[-12:]))


def _failed(detail: str) -> StoreError:
    return StoreError(
        "migration_failed",
        f"The schema could not be upgraded, and nothing was changed. {detail}",
        "Look into the database's log; see that its user may create tables; start again.",
    )


def main() -> None:
    """Upgrade HAWKER_DATABASE_URL's database in this process."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["database_url"] = os.environ["HAWKER_DATABASE_URL"]
    command.upgrade(config, "head")


if __name__ == "__main__":
    main()
