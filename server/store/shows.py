"""Shows: their plan, state, run-of-show, passes and stream keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from server.problems import Problem
from server.store.pool import Connection
from server.store.rows import audit, new_id, row, rows, touched

LIVE, SCHEDULED, ENDED = "live", "scheduled", "ended"
PUBLIC, UNLISTED, INVITED = "public", "unlisted", "invited"


class Show(Struct, frozen=True):
    id: str
    shop_id: str
    title: str
    description: str
    state: str
    visibility: str
    playback_id: str
    host_id: str | None
    host_name: str | None
    cover_image_id: str | None
    pinned_product: str | None
    starts_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancelled_at: datetime | None
    created_at: datetime


class Item(Struct, frozen=True):
    product_id: str
    position: int
    shown_at: datetime | None


class Pass(Struct, frozen=True):
    """A pass as staff see it: `id` is the hash's beginning, which opens nothing."""

    id: str
    label: str
    created_at: datetime
    expires_at: datetime | None


class StreamKey(Struct, frozen=True):
    hint: str
    created_at: datetime


class KeyHolder(Struct, frozen=True):
    """Which show a stream key publishes."""

    key_id: str
    show_id: str


_SHOW = """
    SELECT s.id, s.shop_id, s.title, s.description, s.state, s.visibility, s.playback_id, s.host_id,
           u.display_name AS host_name, s.cover_image_id, s.pinned_product,
           s.starts_at, s.started_at, s.ended_at, s.cancelled_at, s.created_at
    FROM shows s LEFT JOIN users u ON u.id = s.host_id
"""


async def show(db: Connection, show_id: str) -> Show | None:
    return row(Show, await db.fetchrow(f"{_SHOW} WHERE s.id = $1", show_id))


async def show_by_playback_id(db: Connection, playback_id: str) -> Show | None:
    return row(Show, await db.fetchrow(f"{_SHOW} WHERE s.playback_id = $1", playback_id))


async def listed(db: Connection, shop_id: str) -> list[Show]:
    """Public shows: all that are on or to come, and the last fifty that ended."""
    records = await db.fetch(
        f"""
        ({_SHOW} WHERE s.shop_id = $1 AND s.visibility = 'public' AND s.state <> 'ended'
         ORDER BY s.starts_at LIMIT 200)
        UNION ALL
        ({_SHOW} WHERE s.shop_id = $1 AND s.visibility = 'public' AND s.state = 'ended'
         ORDER BY s.ended_at DESC NULLS LAST LIMIT 50)
        """,
        shop_id,
    )
    return rows(Show, records)


async def all_shows(db: Connection, shop_id: str) -> list[Show]:
    records = await db.fetch(f"{_SHOW} WHERE s.shop_id = $1 ORDER BY s.starts_at DESC LIMIT 500", shop_id)
    return rows(Show, records)


async def add_show(
    db: Connection,
    shop_id: str,
    title: str,
    starts_at: datetime,
    *,
    description: str = "",
    visibility: str = PUBLIC,
    host_id: str | None = None,
) -> Show:
    """A scheduled show. Its playback id is random and says nothing of any key."""
    show_id = new_id()
    await db.execute(
        """
        INSERT INTO shows (id, shop_id, title, description, visibility, playback_id, host_id, starts_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        show_id,
        shop_id,
        title,
        description,
        visibility,
        secrets.token_urlsafe(15),
        host_id,
        starts_at,
    )
    made = await show(db, show_id)
    assert made is not None
    return made


async def change_show(db: Connection, show_id: str, changes: dict[str, Any]) -> None:
    for column in ("title", "description", "starts_at", "visibility", "host_id", "cover_image_id"):
        if column in changes:
            await db.execute(f"UPDATE shows SET {column} = $2 WHERE id = $1", show_id, changes[column])


async def set_show_state(
    db: Connection, show_id: str, state: str, now: datetime, by: str | None = None
) -> bool:
    """Start (scheduled → live) or end (live → ended) a show; False when it is in that state already.

    The one place where a show changes state; audited. Raises Problem `no_such_show`, `wrong_show_state`.
    """
    found = await db.fetchrow("SELECT state, shop_id FROM shows WHERE id = $1 FOR UPDATE", show_id)
    if found is None:
        raise Problem("no_such_show")
    before = found["state"]
    if before == state:
        return False
    if (before, state) not in {(SCHEDULED, LIVE), (LIVE, ENDED)}:
        raise Problem("wrong_show_state", f"A show that is {before} can't become {state}.")
    moment = "started_at" if state == LIVE else "ended_at"
    await db.execute(f"UPDATE shows SET state = $2, {moment} = $3 WHERE id = $1", show_id, state, now)
    action = "start_show" if state == LIVE else "end_show"
    await audit(db, found["shop_id"], by, action, show_id)
    return True


async def cancel_show(db: Connection, show_id: str, now: datetime) -> None:
    """End a show in whatever state it is, for good, as cancelled. Audited by who calls; twice is once."""
    await db.execute(
        "UPDATE shows SET state = 'ended', ended_at = coalesce(ended_at, $2),"
        " cancelled_at = coalesce(cancelled_at, $2) WHERE id = $1",
        show_id,
        now,
    )


async def set_pinned(db: Connection, show_id: str, product_id: str | None, now: datetime) -> None:
    """Remember what is pinned, and when a product was first shown."""
    await db.execute("UPDATE shows SET pinned_product = $2 WHERE id = $1", show_id, product_id)
    await db.execute(
        """
        UPDATE show_items SET shown_at = $3
        WHERE show_id = $1 AND product_id = $2 AND shown_at IS NULL
        """,
        show_id,
        product_id,
        now,
    )


# --- run-of-show


async def items(db: Connection, show_id: str) -> list[Item]:
    records = await db.fetch(
        "SELECT product_id, position, shown_at FROM show_items WHERE show_id = $1 ORDER BY position", show_id
    )
    return rows(Item, records)


async def set_items(db: Connection, show_id: str, shop_id: str, product_ids: Sequence[str]) -> None:
    """Put these products, in this order, into the run-of-show. Raises Problem `no_such_product`."""
    ids = list(product_ids)
    await db.execute("SELECT FROM shows WHERE id = $1 FOR UPDATE", show_id)
    known = await db.fetchval(
        "SELECT count(*) FROM products WHERE shop_id = $1 AND id = ANY($2::uuid[])", shop_id, ids
    )
    if known != len(ids):
        raise Problem("no_such_product", "One of the products is not in this shop's catalogue.")
    await db.execute(
        "DELETE FROM show_items WHERE show_id = $1 AND NOT product_id = ANY($2::uuid[])", show_id, ids
    )
    await db.execute(
        """
        INSERT INTO show_items (show_id, product_id, position)
        SELECT $1, wanted.id, wanted.n - 1 FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, n)
        ON CONFLICT (show_id, product_id) DO UPDATE SET position = excluded.position
        """,
        show_id,
        ids,
    )


# --- passes


async def add_pass(
    db: Connection,
    show_id: str,
    token_sha256: bytes,
    label: str,
    created_by: str,
    expires_at: datetime | None,
) -> None:
    await db.execute(
        """
        INSERT INTO show_passes (token_sha256, show_id, label, created_by, expires_at)
        VALUES ($1, $2, $3, $4, $5)
        """,
        token_sha256,
        show_id,
        label,
        created_by,
        expires_at,
    )


async def pass_opens(db: Connection, show_id: str, token_sha256: bytes, now: datetime) -> bool:
    return bool(
        await db.fetchval(
            """
            SELECT exists(SELECT FROM show_passes WHERE token_sha256 = $2 AND show_id = $1
                          AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3))
            """,
            show_id,
            token_sha256,
            now,
        )
    )


async def passes(db: Connection, show_id: str) -> list[Pass]:
    records = await db.fetch(
        """
        SELECT left(encode(token_sha256, 'hex'), 16) AS id, label, created_at, expires_at FROM show_passes
        WHERE show_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC LIMIT 1000
        """,
        show_id,
    )
    return rows(Pass, records)


async def revoke_pass(db: Connection, show_id: str, pass_id: str, now: datetime) -> bool:
    status = await db.execute(
        """
        UPDATE show_passes SET revoked_at = $3
        WHERE show_id = $1 AND left(encode(token_sha256, 'hex'), 16) = $2 AND revoked_at IS NULL
        """,
        show_id,
        pass_id,
        now,
    )
    return touched(status) > 0


# --- stream keys


async def rotate_stream_key(
    db: Connection, show_id: str, key_sha256: bytes, hint: str, now: datetime
) -> None:
    """Make this the show's only key."""
    await db.execute("SELECT FROM shows WHERE id = $1 FOR UPDATE", show_id)
    await db.execute(
        "UPDATE stream_keys SET revoked_at = $2 WHERE show_id = $1 AND revoked_at IS NULL", show_id, now
    )
    await db.execute(
        "INSERT INTO stream_keys (id, show_id, key_sha256, hint, created_at) VALUES ($1, $2, $3, $4, $5)",
        new_id(),
        show_id,
        key_sha256,
        hint,
        now,
    )


async def stream_key(db: Connection, show_id: str) -> StreamKey | None:
    return row(
        StreamKey,
        await db.fetchrow(
            "SELECT hint, created_at FROM stream_keys WHERE show_id = $1 AND revoked_at IS NULL", show_id
        ),
    )


async def key_holder(db: Connection, key_sha256: bytes) -> KeyHolder | None:
    return row(
        KeyHolder,
        await db.fetchrow(
            "SELECT id AS key_id, show_id FROM stream_keys WHERE key_sha256 = $1 AND revoked_at IS NULL",
            key_sha256,
        ),
    )


class Summary(Struct, frozen=True):
    orders: int
    paid: int
    units: int
    revenue_minor: int


async def summary(db: Connection, show_id: str) -> Summary:
    """What a show sold; refunds are taken off the revenue."""
    record = await db.fetchrow(
        """
        SELECT count(*) AS orders,
               count(*) FILTER (WHERE sold) AS paid,
               coalesce(sum(units) FILTER (WHERE sold), 0)::bigint AS units,
               coalesce(sum(total_minor - refunded_minor) FILTER (WHERE sold), 0)::bigint AS revenue_minor
        FROM (SELECT o.total_minor, o.refunded_minor, o.state IN ('paid', 'fulfilled', 'refunded') AS sold,
                     (SELECT sum(quantity) FROM order_lines l WHERE l.order_id = o.id) AS units
              FROM orders o WHERE o.show_id = $1) AS one
        """,
        show_id,
    )
    found = row(Summary, record)
    assert found is not None
    return found
