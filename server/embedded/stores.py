"""Which stores a box uses: those its settings name, checked before anything starts, or embedded ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from server.embedded import backup, postgres, valkey
from server.embedded.data_directory import DataDirectory
from server.embedded.errors import StartError
from server.embedded.progress import Progress
from server.embedded.supervisor import Running, Supervisor

_CONNECT_S = 5.0
_OLDEST_POSTGRES = 15
_OLDEST_VALKEY = 8
_OLDEST_REDIS = 7


@dataclass(frozen=True, slots=True, repr=False)
class StoreUrls:
    """Where the stores are; both may hold passwords."""

    database: str
    redis: str


async def start_stores(
    supervisor: Supervisor, directory: DataDirectory, environ: Mapping[str, str], progress: Progress
) -> StoreUrls:
    """Check the stores of HAWKER_DATABASE_URL and HAWKER_REDIS_URL; start what is not given there."""
    database, cache = environ.get("HAWKER_DATABASE_URL", ""), environ.get("HAWKER_REDIS_URL", "")
    if database:
        await check_database(database)
    if cache:
        await check_redis(cache)

    async def start_postgres() -> Running:
        nonlocal database
        with progress.step("PostgreSQL"):
            home, log = directory.path / "postgres", directory.logs / "postgres.log"
            archive = environ.get("HAWKER_BACKUP_DIR", "")
            archiving = backup.archiving(archive, home) if archive else None
            server = await postgres.start(home, log, settings=archiving, keep_fds=[directory.lock])
        database = server.url
        return server

    async def start_valkey() -> Running:
        nonlocal cache
        with progress.step("Valkey"):
            home, log = directory.path / "valkey", directory.logs / "valkey.log"
            server = await valkey.start(home, log, keep_fds=[directory.lock])
        cache = server.url
        return server

    embedded = [] if database else [("postgres", start_postgres)]
    embedded += [] if cache else [("valkey", start_valkey)]
    await supervisor.start(*embedded)
    return StoreUrls(database, cache)


async def check_database(url: str) -> None:
    """Raise StartError when the PostgreSQL at `url` can't be used."""
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_S)
        version = connection.get_server_version()
        await connection.close(timeout=_CONNECT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise StartError(
            "database_down",
            f"The PostgreSQL of HAWKER_DATABASE_URL can't be used: {_reason(error)}.",
            "See that it runs and that the URL is right, or unset the variable to use the embedded one.",
        ) from None
    if version.major < _OLDEST_POSTGRES:
        raise StartError(
            "postgres_too_old",
            f"The PostgreSQL of HAWKER_DATABASE_URL is version {version.major}.",
            f"Use {_OLDEST_POSTGRES} or newer.",
        )


async def check_redis(url: str) -> None:
    """Raise StartError when the Valkey or Redis at `url` can't be used."""
    import redis.asyncio  # half a second of imports that a start with embedded stores spares
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        async with redis.asyncio.Redis.from_url(
            url, socket_timeout=_CONNECT_S, socket_connect_timeout=_CONNECT_S, retry=Retry(NoBackoff(), 0)
        ) as client:
            info = await client.info("server")
    except (OSError, redis.RedisError, ValueError) as error:
        raise StartError(
            "redis_down",
            f"The Valkey or Redis of HAWKER_REDIS_URL can't be used: {_reason(error)}.",
            "See that it runs and that the URL is right, or unset the variable to use the embedded one.",
        ) from None
    kind, oldest = ("valkey", _OLDEST_VALKEY) if "valkey_version" in info else ("redis", _OLDEST_REDIS)
    version = str(info[f"{kind}_version"])
    if int(version.split(".", maxsplit=1)[0]) < oldest:
        raise StartError(
            "redis_too_old",
            f"The store of HAWKER_REDIS_URL is {kind} {version}.",
            "Use Valkey 8 or Redis 7, or newer.",
        )


def _reason(error: BaseException) -> str:
    text = re.sub(r"(://[^/\s:@]*:)[^/\s@]+@", r"\1***@", str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
