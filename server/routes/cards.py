"""Saved cards. Card data goes from the browser to the provider; here are only references to it."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import structlog
from msgspec import Meta

from server.auth import limits
from server.checkout.answers import failure_message
from server.payments.outcomes import STORED_ERROR, CustomerRef, PaymentError, ProviderUnavailable
from server.problems import Problem
from server.routes.operation import SIGNED_IN, Call, Operation, Reply
from server.routes.schemas import Body, View
from server.store import cards as store
from server.store.pool import transaction
from server.store.rows import new_id

_log = structlog.get_logger("hawker.web")


class SaveCard(Body, frozen=True):
    setup_intent: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_]+$")]


class PreferCard(Body, frozen=True):
    is_default: Literal[True] = True


class Card(View, frozen=True):
    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool


class Cards(View, frozen=True):
    cards: tuple[Card, ...]


class CardSetup(View, frozen=True):
    """What the page confirms with the provider's own script."""

    setup_intent: str
    client_secret: str
    publishable_key: str


async def list_cards(call: Call) -> Cards:
    async with transaction(call.deps.pool) as db:
        found = await store.cards_of(db, call.person.user_id)
    return Cards(tuple(map(Card.of, found)))


async def set_up(call: Call) -> CardSetup:
    """Begin to save a card."""
    await call.deps.limits.take(limits.CARD, call.person.user_id)
    async with transaction(call.deps.pool) as db:
        if len(await store.cards_of(db, call.person.user_id)) >= store.MOST:
            raise Problem("too_many", f"{store.MOST} cards are kept.")
    customer = await _customer(call)
    setup = await call.deps.cards.create_setup_intent(customer, f"setup:{new_id()}")
    return CardSetup(setup.id, setup.client_secret, call.deps.settings.stripe_publishable_key)


async def _customer(call: Call) -> str:
    """The provider's customer for this person; its key keeps a crash from making two.

    The key is the request's: who has another address by now asks anew, and the first one kept is the one.
    """
    user_id = call.person.user_id
    async with transaction(call.deps.pool) as db:
        known = await store.customer_of(db, user_id)
    if known:
        return known
    address = sha256(call.person.email.encode()).hexdigest()[:16]
    made = await _made(call, f"customer:{user_id}:{address}")
    async with transaction(call.deps.pool) as db:
        return await store.keep_customer(db, user_id, made.id)


async def _made(call: Call, key: str) -> CustomerRef:
    """Under another key where this one repeats a stored 500: one customer too many costs nothing."""
    try:
        return await call.deps.cards.create_customer(call.person.user_id, call.person.email, key)
    except ProviderUnavailable as error:
        if error.code != STORED_ERROR:
            raise
    return await call.deps.cards.create_customer(call.person.user_id, call.person.email, f"{key}:{new_id()}")


async def save(call: Call, body: SaveCard) -> Reply:
    """Keep a card that the provider has saved, asking the provider rather than believing the page."""
    await call.deps.limits.take(limits.CARD, call.person.user_id)
    setup = await call.deps.cards.retrieve_setup_intent(body.setup_intent)
    async with transaction(call.deps.pool) as db:
        customer = await store.customer_of(db, call.person.user_id)
    if setup.customer != customer or customer is None:
        raise Problem("card_refused", "This card was saved by somebody else.")
    if setup.status != "succeeded" or setup.payment_method is None:
        raise Problem(
            "card_refused", failure_message(setup.failure_code) or "Saving the card was not finished."
        )
    seen = await call.deps.cards.retrieve_payment_method(setup.payment_method)
    async with transaction(call.deps.pool) as db:
        card = await store.add_card(
            db,
            call.person.user_id,
            seen.payment_method,
            seen.brand,
            seen.last4,
            seen.exp_month,
            seen.exp_year,
        )
    if card is None:
        raise Problem("card_refused", "This card was removed before.")
    return Reply(Card.of(card), 201)


async def prefer(call: Call, body: PreferCard) -> Card:
    async with transaction(call.deps.pool) as db:
        if await store.card(db, call.person.user_id, call.path("id")) is None:
            raise Problem("no_such_card")
        await store.make_default(db, call.person.user_id, call.path("id"))
        card = await store.card(db, call.person.user_id, call.path("id"))
    if card is None:
        raise Problem("no_such_card")
    return Card.of(card)


async def remove(call: Call) -> None:
    async with transaction(call.deps.pool) as db:
        ref = await store.remove_card(db, call.person.user_id, call.path("id"))
    if ref is None:
        raise Problem("no_such_card")
    try:
        await call.deps.cards.detach(ref)
    except PaymentError as error:  # nobody can charge it from here any more
        _log.warning("card_not_detached", error=error.code)


_PATH = "/api/me/cards"
_PROVIDER = ("payment_unavailable", "card_refused", "rate_limited")

OPERATIONS = (
    Operation("GET", _PATH, list_cards, "Own saved cards, the default first", SIGNED_IN),
    Operation(
        "POST", _PATH + "/setup", set_up, "Begin to save a card", SIGNED_IN, errors=(*_PROVIDER, "too_many")
    ),
    Operation(
        "POST",
        _PATH,
        save,
        "Keep the card that was saved with the provider",
        SIGNED_IN,
        returns=Card,
        status=201,
        errors=_PROVIDER,
    ),
    Operation(
        "PATCH", _PATH + "/{id:uuid}", prefer, "Make a card the default", SIGNED_IN, errors=("no_such_card",)
    ),
    Operation(
        "DELETE",
        _PATH + "/{id:uuid}",
        remove,
        "Remove a card, here and at the provider",
        SIGNED_IN,
        errors=("no_such_card",),
    ),
)
