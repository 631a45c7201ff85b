"""Saved cards: the provider's reference and what a person recognises a card by. Never card data."""

from __future__ import annotations

from msgspec import Struct

from server.store.addresses import lock_user
from server.store.pool import Connection
from server.store.rows import new_id, row, rows

MOST = 20


class Card(Struct, frozen=True):
    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool


_CARD = "id, brand, last4, exp_month, exp_year, is_default"


async def customer_of(db: Connection, user_id: str) -> str | None:
    """The provider's customer for a person, if there is one yet."""
    ref: str | None = await db.fetchval(
        "SELECT customer_ref FROM payment_customers WHERE user_id = $1", user_id
    )
    return ref


async def keep_customer(db: Connection, user_id: str, customer_ref: str) -> str:
    """Remember the customer; the one kept first wins."""
    await db.execute(
        "INSERT INTO payment_customers (user_id, customer_ref) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        user_id,
        customer_ref,
    )
    return await customer_of(db, user_id) or customer_ref


async def cards_of(db: Connection, user_id: str) -> list[Card]:
    records = await db.fetch(
        f"""
        SELECT {_CARD} FROM cards WHERE user_id = $1 AND removed_at IS NULL
        ORDER BY is_default DESC, created_at DESC, id
        """,
        user_id,
    )
    return rows(Card, records)


async def card(db: Connection, user_id: str, card_id: str) -> Card | None:
    return row(
        Card,
        await db.fetchrow(
            f"SELECT {_CARD} FROM cards WHERE user_id = $1 AND id = $2 AND removed_at IS NULL",
            user_id,
            card_id,
        ),
    )


async def add_card(
    db: Connection,
    user_id: str,
    payment_method_ref: str,
    brand: str,
    last4: str,
    exp_month: int,
    exp_year: int,
) -> Card | None:
    """The card, saved once however often it is asked for; the newest is the default. None when the
    reference is somebody else's or was removed."""
    await lock_user(db, user_id)
    await db.execute(
        """
        INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (payment_method_ref) DO NOTHING
        """,
        new_id(),
        user_id,
        payment_method_ref,
        brand,
        last4,
        exp_month,
        exp_year,
    )
    card_id = await db.fetchval(
        "SELECT id FROM cards WHERE payment_method_ref = $1 AND user_id = $2 AND removed_at IS NULL",
        payment_method_ref,
        user_id,
    )
    if card_id is None:
        return None
    await make_default(db, user_id, str(card_id))
    return await card(db, user_id, str(card_id))


async def make_default(db: Connection, user_id: str, card_id: str) -> None:
    await db.execute(
        "UPDATE cards SET is_default = (id = $2) WHERE user_id = $1 AND removed_at IS NULL", user_id, card_id
    )


async def remove_card(db: Connection, user_id: str, card_id: str) -> str | None:
    """Take a card away; the provider's reference, to detach it there. Another one becomes the default."""
    await lock_user(db, user_id)
    ref: str | None = await db.fetchval(
        """
        UPDATE cards SET removed_at = now(), is_default = false
        WHERE user_id = $1 AND id = $2 AND removed_at IS NULL RETURNING payment_method_ref
        """,
        user_id,
        card_id,
    )
    await db.execute(
        """
        UPDATE cards SET is_default = true
        WHERE id = (SELECT id FROM cards WHERE user_id = $1 AND removed_at IS NULL
                    ORDER BY created_at DESC, id LIMIT 1)
          AND NOT EXISTS (SELECT FROM cards WHERE user_id = $1 AND removed_at IS NULL AND is_default)
        """,
        user_id,
    )
    return ref
