"""People, their sessions and the tokens in their mail."""

from __future__ import annotations

from datetime import datetime

import asyncpg
from msgspec import Struct

from server.store.pool import Connection
from server.store.rows import new_id, plain, row, rows, touched


class User(Struct, frozen=True):
    id: str
    email: str
    password_hash: str
    display_name: str
    show_first_name: bool
    email_verified_at: datetime | None


class Person(Struct, frozen=True):
    """Who a session belongs to, with the roles held in the shop."""

    session_id: str
    user_id: str
    email: str
    display_name: str
    show_first_name: bool
    email_verified_at: datetime | None
    seen_at: datetime
    roles: tuple[str, ...]


class Session(Struct, frozen=True):
    id: str
    user_agent: str
    created_at: datetime
    seen_at: datetime


_USER = "id, email, password_hash, display_name, show_first_name, email_verified_at"


async def add_user(
    db: Connection, email: str, password_hash: str, display_name: str, *, verified_at: datetime | None = None
) -> User | None:
    """The new person, or None when the address is taken."""
    record = await db.fetchrow(
        f"""
        INSERT INTO users (id, email, password_hash, display_name, email_verified_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (email) DO NOTHING
        RETURNING {_USER}
        """,
        new_id(),
        email,
        password_hash,
        display_name,
        verified_at,
    )
    return row(User, record)


async def user_by_email(db: Connection, email: str) -> User | None:
    return row(User, await db.fetchrow(f"SELECT {_USER} FROM users WHERE email = $1", email))


async def user_by_id(db: Connection, user_id: str) -> User | None:
    return row(User, await db.fetchrow(f"SELECT {_USER} FROM users WHERE id = $1", user_id))


async def rename(
    db: Connection, user_id: str, display_name: str | None, show_first_name: bool | None
) -> None:
    await db.execute(
        """
        UPDATE users SET display_name = coalesce($2, display_name),
                         show_first_name = coalesce($3, show_first_name)
        WHERE id = $1
        """,
        user_id,
        display_name,
        show_first_name,
    )


async def set_password(db: Connection, user_id: str, password_hash: str) -> None:
    await db.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)


async def set_verified(db: Connection, user_id: str, now: datetime) -> None:
    await db.execute(
        "UPDATE users SET email_verified_at = $2 WHERE id = $1 AND email_verified_at IS NULL", user_id, now
    )


# --- sessions


async def add_session(
    db: Connection, user_id: str, token_sha256: bytes, user_agent: str, now: datetime, expires_at: datetime
) -> str:
    session_id = new_id()
    await db.execute(
        """
        INSERT INTO sessions (id, user_id, token_sha256, user_agent, created_at, seen_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $5, $6)
        """,
        session_id,
        user_id,
        token_sha256,
        user_agent,
        now,
        expires_at,
    )
    return session_id


_PERSON = """
    SELECT s.id AS session_id, u.id AS user_id, u.email, u.display_name, u.show_first_name,
           u.email_verified_at, s.seen_at,
           array(SELECT m.role FROM memberships m WHERE m.user_id = u.id ORDER BY m.role) AS roles
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.revoked_at IS NULL AND s.expires_at > $2
"""


async def person_of_session(db: Connection, token_sha256: bytes, now: datetime) -> Person | None:
    return _person(await db.fetchrow(f"{_PERSON} AND s.token_sha256 = $1", token_sha256, now))


async def person_of_id(db: Connection, session_id: str, now: datetime) -> Person | None:
    return _person(await db.fetchrow(f"{_PERSON} AND s.id = $1", session_id, now))


def _person(record: asyncpg.Record | None) -> Person | None:
    if record is None:
        return None
    found = plain(record)
    return Person(**{**found, "roles": tuple(found["roles"])})


async def session_seen(db: Connection, session_id: str, now: datetime) -> None:
    await db.execute("UPDATE sessions SET seen_at = $2 WHERE id = $1", session_id, now)


async def sessions_of(db: Connection, user_id: str, now: datetime) -> list[Session]:
    records = await db.fetch(
        """
        SELECT id, user_agent, created_at, seen_at FROM sessions
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
        ORDER BY seen_at DESC LIMIT 100
        """,
        user_id,
        now,
    )
    return rows(Session, records)


async def revoke_session(db: Connection, user_id: str, session_id: str, now: datetime) -> bool:
    status = await db.execute(
        "UPDATE sessions SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL",
        user_id,
        session_id,
        now,
    )
    return touched(status) > 0


async def revoke_sessions(
    db: Connection, user_id: str, now: datetime, *, keep: str | None = None
) -> list[str]:
    """End all of a person's sessions but `keep`; the ids of those that ended."""
    records = await db.fetch(
        """
        UPDATE sessions SET revoked_at = $2
        WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $3::uuid
        RETURNING id
        """,
        user_id,
        now,
        keep,
    )
    return [str(record["id"]) for record in records]


# --- tokens in mail


async def add_email_token(
    db: Connection, user_id: str, purpose: str, token_sha256: bytes, expires_at: datetime
) -> None:
    """A new token makes the earlier ones for the same purpose worthless."""
    await db.execute(
        "DELETE FROM email_tokens WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL", user_id, purpose
    )
    await db.execute(
        "INSERT INTO email_tokens (token_sha256, user_id, purpose, expires_at) VALUES ($1, $2, $3, $4)",
        token_sha256,
        user_id,
        purpose,
        expires_at,
    )


async def use_email_token(db: Connection, purpose: str, token_sha256: bytes, now: datetime) -> str | None:
    """The person the token was mailed to, once; None when it is unknown, used or expired."""
    user_id = await db.fetchval(
        """
        UPDATE email_tokens SET used_at = $3
        WHERE token_sha256 = $2 AND purpose = $1 AND used_at IS NULL AND expires_at > $3
        RETURNING user_id
        """,
        purpose,
        token_sha256,
        now,
    )
    return None if user_id is None else str(user_id)
