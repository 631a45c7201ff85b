"""Where people want their orders sent."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from server.store.pool import Connection
from server.store.rows import new_id, row, rows, touched

MOST = 20

_FIELDS = ("name", "line1", "line2", "city", "region", "postal_code", "country", "phone")
_ADDRESS = "id, name, line1, line2, city, region, postal_code, country, phone, is_default"


class Address(Struct, frozen=True):
    id: str
    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str
    is_default: bool


async def addresses_of(db: Connection, user_id: str) -> list[Address]:
    records = await db.fetch(
        f"SELECT {_ADDRESS} FROM addresses WHERE user_id = $1 ORDER BY is_default DESC, created_at DESC, id",
        user_id,
    )
    return rows(Address, records)


async def add_address(db: Connection, user_id: str, fields: dict[str, Any]) -> Address | None:
    """The new address (the first one is the default), or None when there are `MOST` already."""
    await lock_user(db, user_id)
    count = await db.fetchval("SELECT count(*) FROM addresses WHERE user_id = $1", user_id)
    if count >= MOST:
        return None
    address_id = new_id()
    await db.execute(
        """
        INSERT INTO addresses (id, user_id, name, line1, line2, city, region, postal_code, country, phone)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        address_id,
        user_id,
        *(fields[name] for name in _FIELDS),
    )
    if count == 0 or fields.get("is_default"):
        await make_default(db, user_id, address_id)
    return await address(db, user_id, address_id)


async def address(db: Connection, user_id: str, address_id: str) -> Address | None:
    return row(
        Address,
        await db.fetchrow(
            f"SELECT {_ADDRESS} FROM addresses WHERE user_id = $1 AND id = $2", user_id, address_id
        ),
    )


async def change_address(
    db: Connection, user_id: str, address_id: str, changes: dict[str, Any]
) -> Address | None:
    await lock_user(db, user_id)
    for name in _FIELDS:
        if name in changes:
            await db.execute(
                f"UPDATE addresses SET {name} = $3 WHERE user_id = $1 AND id = $2",
                user_id,
                address_id,
                changes[name],
            )
    if changes.get("is_default"):
        await make_default(db, user_id, address_id)
    return await address(db, user_id, address_id)


async def make_default(db: Connection, user_id: str, address_id: str) -> None:
    await db.execute("UPDATE addresses SET is_default = (id = $2) WHERE user_id = $1", user_id, address_id)


async def remove_address(db: Connection, user_id: str, address_id: str) -> bool:
    """Orders keep the address they were placed with. Another one becomes the default."""
    await lock_user(db, user_id)
    status = await db.execute("DELETE FROM addresses WHERE user_id = $1 AND id = $2", user_id, address_id)
    await db.execute(
        """
        UPDATE addresses SET is_default = true
        WHERE id = (SELECT id FROM addresses WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT 1)
          AND NOT EXISTS (SELECT FROM addresses WHERE user_id = $1 AND is_default)
        """,
        user_id,
    )
    return touched(status) > 0


async def lock_user(db: Connection, user_id: str) -> None:
    """One change at a time to what a person keeps."""
    await db.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
