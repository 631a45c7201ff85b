"""The shop, its members, invitations, and the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from server.store.pool import Connection
from server.store.rows import new_id, row, rows, touched


class Shop(Struct, frozen=True):
    id: str
    slug: str
    name: str
    currency: str
    country: str
    tax_rate_bp: int
    flat_shipping_minor: int
    contact_email: str


class Member(Struct, frozen=True):
    user_id: str
    email: str
    display_name: str
    role: str
    since: datetime


class Invitation(Struct, frozen=True):
    id: str
    email: str
    role: str
    created_at: datetime
    expires_at: datetime


class FoundPerson(Struct, frozen=True):
    user_id: str
    email: str
    display_name: str
    created_at: datetime


class AuditEntry(Struct, frozen=True):
    """`about` is what the subject is called, `product_id` the product that it is or is a variant of."""

    id: int
    actor_id: str | None
    actor_name: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    at: datetime
    about: str | None
    product_id: str | None


_SHOP = "id, slug, name, currency, country, tax_rate_bp, flat_shipping_minor, contact_email"


async def the_shop(db: Connection) -> Shop | None:
    """The shop of this installation: the first that was made."""
    return row(Shop, await db.fetchrow(f"SELECT {_SHOP} FROM shops ORDER BY created_at, id LIMIT 1"))


async def add_shop(
    db: Connection,
    name: str,
    slug: str = "shop",
    currency: str = "EUR",
    country: str = "DE",
    contact_email: str = "",
) -> Shop:
    record = await db.fetchrow(
        f"""
        INSERT INTO shops (id, slug, name, currency, country, contact_email)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_SHOP}
        """,
        new_id(),
        slug,
        name,
        currency,
        country,
        contact_email,
    )
    shop = row(Shop, record)
    assert shop is not None
    return shop


async def change_shop(db: Connection, shop_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns (names from the route's own struct) of the shop."""
    for column in ("name", "currency", "country", "tax_rate_bp", "flat_shipping_minor", "contact_email"):
        if column in changes:
            await db.execute(f"UPDATE shops SET {column} = $2 WHERE id = $1", shop_id, changes[column])


async def has_orders(db: Connection, shop_id: str) -> bool:
    return bool(await db.fetchval("SELECT exists(SELECT FROM orders WHERE shop_id = $1)", shop_id))


# --- members


async def add_member(db: Connection, shop_id: str, user_id: str, role: str) -> bool:
    """False when the person has that role already."""
    status = await db.execute(
        "INSERT INTO memberships (shop_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        shop_id,
        user_id,
        role,
    )
    return touched(status) > 0


async def members(db: Connection, shop_id: str) -> list[Member]:
    records = await db.fetch(
        """
        SELECT m.user_id, u.email, u.display_name, m.role, m.created_at AS since
        FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE m.shop_id = $1 ORDER BY u.display_name, m.role
        """,
        shop_id,
    )
    return rows(Member, records)


async def remove_member(db: Connection, shop_id: str, user_id: str, role: str) -> bool:
    status = await db.execute(
        "DELETE FROM memberships WHERE shop_id = $1 AND user_id = $2 AND role = $3", shop_id, user_id, role
    )
    return touched(status) > 0


async def lock_owners(db: Connection, shop_id: str) -> list[str]:
    """The owners, locked until the transaction ends, so that two of them can't remove each other."""
    records = await db.fetch(
        "SELECT user_id FROM memberships WHERE shop_id = $1 AND role = 'owner' ORDER BY user_id FOR UPDATE",
        shop_id,
    )
    return [str(record["user_id"]) for record in records]


# --- invitations


async def add_invitation(
    db: Connection,
    shop_id: str,
    email: str,
    role: str,
    token_sha256: bytes,
    invited_by: str,
    expires_at: datetime,
) -> Invitation:
    """A new invitation replaces the open one for the same address and role."""
    await db.execute(
        "DELETE FROM invitations WHERE shop_id = $1 AND email = $2 AND role = $3 AND accepted_at IS NULL",
        shop_id,
        email,
        role,
    )
    record = await db.fetchrow(
        """
        INSERT INTO invitations (id, shop_id, email, role, token_sha256, invited_by, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, email, role, created_at, expires_at
        """,
        new_id(),
        shop_id,
        email,
        role,
        token_sha256,
        invited_by,
        expires_at,
    )
    invitation = row(Invitation, record)
    assert invitation is not None
    return invitation


async def open_invitations(db: Connection, shop_id: str) -> list[Invitation]:
    records = await db.fetch(
        """
        SELECT id, email, role, created_at, expires_at FROM invitations
        WHERE shop_id = $1 AND accepted_at IS NULL ORDER BY created_at DESC LIMIT 500
        """,
        shop_id,
    )
    return rows(Invitation, records)


async def remove_invitation(db: Connection, shop_id: str, invitation_id: str) -> bool:
    status = await db.execute(
        "DELETE FROM invitations WHERE shop_id = $1 AND id = $2 AND accepted_at IS NULL",
        shop_id,
        invitation_id,
    )
    return touched(status) > 0


class Accepted(Struct, frozen=True):
    shop_id: str
    email: str
    role: str


async def use_invitation(db: Connection, token_sha256: bytes, now: datetime) -> Accepted | None:
    """Spend an invitation; None when it is unknown, used or expired."""
    record = await db.fetchrow(
        """
        UPDATE invitations SET accepted_at = $2
        WHERE token_sha256 = $1 AND accepted_at IS NULL AND expires_at > $2
        RETURNING shop_id, email, role
        """,
        token_sha256,
        now,
    )
    return row(Accepted, record)


# --- people and audit


async def find_people(db: Connection, q: str) -> list[FoundPerson]:
    records = await db.fetch(
        """
        SELECT id AS user_id, email, display_name, created_at FROM users
        WHERE $1 = '' OR strpos(email, lower($1)) > 0 OR strpos(lower(display_name), lower($1)) > 0
        ORDER BY created_at DESC LIMIT 50
        """,
        q,
    )
    return rows(FoundPerson, records)


async def audit_entries(db: Connection, shop_id: str, before: int | None, limit: int) -> list[AuditEntry]:
    records = await db.fetch(
        """
        SELECT a.id, a.actor_id, u.display_name AS actor_name, a.action, a.subject, a.detail, a.at,
               coalesce(s.title, 'Order ' || o.number,
                        nullif(concat_ws(', ', p.title, nullif(nullif(v.title, ''), 'Default Title')), '')
               ) AS about,
               p.id AS product_id
        FROM audit a LEFT JOIN users u ON u.id = a.actor_id
        LEFT JOIN LATERAL (SELECT CASE WHEN a.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                       THEN a.subject::uuid END AS id) AS one ON true
        LEFT JOIN variants v ON v.id = one.id
        LEFT JOIN products p ON p.id = coalesce(v.product_id, one.id)
        LEFT JOIN shows s ON s.id = one.id
        LEFT JOIN orders o ON o.id = one.id
        WHERE a.shop_id = $1 AND ($2::bigint IS NULL OR a.id < $2) ORDER BY a.id DESC LIMIT $3
        """,
        shop_id,
        before,
        limit,
    )
    return rows(AuditEntry, records)
