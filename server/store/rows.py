"""Typed rows out of asyncpg's records, new ids, and what every writer of the shop's story needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import uuid_utils

from server.store.pool import Connection

T = TypeVar("T")


def new_id() -> str:
    """A UUIDv7: sorts by the time it was made."""
    return str(uuid_utils.uuid7())


def plain(record: asyncpg.Record) -> dict[str, Any]:
    """A record's columns by name, with ids as text."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in record.items()}


def row(kind: Callable[..., T], record: asyncpg.Record | None) -> T | None:
    """The record as `kind`, whose fields are named as the columns are."""
    return None if record is None else kind(**plain(record))


def rows(kind: Callable[..., T], records: list[asyncpg.Record]) -> list[T]:
    return [kind(**plain(record)) for record in records]


def touched(status: str) -> int:
    """How many rows a command tag such as `UPDATE 3` tells of."""
    last = status.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


async def tell(connection: Connection, kind: str, payload: Mapping[str, Any]) -> None:
    """Put news into the outbox; a worker carries it out after the commit."""
    await connection.execute("INSERT INTO outbox (kind, payload) VALUES ($1, $2)", kind, dict(payload))


async def audit(
    connection: Connection,
    shop_id: str,
    actor_id: str | None,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write down who did what to which subject, in the transaction that does it."""
    await connection.execute(
        "INSERT INTO audit (shop_id, actor_id, action, subject, detail) VALUES ($1, $2, $3, $4, $5)",
        shop_id,
        actor_id,
        action,
        subject,
        dict(detail or {}),
    )


async def audited(connection: Connection, subject: str) -> int:
    """How many audited actions a subject has seen."""
    return int(await connection.fetchval("SELECT count(*) FROM audit WHERE subject = $1", subject))
