"""Who may do what: roles with least power, as one table.

An action is what a request wants to do to the shop; a role is what a person was given. Nothing else decides.
A moderator keeps the talk civil and sees shows, and can touch neither prices nor stock nor people.
A host goes on air and pins; money and people stay with owners and, in part, producers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Role(StrEnum):
    OWNER = "owner"
    PRODUCER = "producer"
    HOST = "host"
    MODERATOR = "moderator"


class Action(StrEnum):
    SEE_SHOWS = "see_shows"
    EDIT_SHOWS = "edit_shows"  # plan them: text, time, run-of-show, visibility, passes
    RUN_SHOWS = "run_shows"  # start, end, pin
    PUBLISH = "publish"  # send the picture: stream keys, publish tickets
    MODERATE = "moderate"
    SEE_CATALOGUE = "see_catalogue"
    EDIT_CATALOGUE = "edit_catalogue"
    CHANGE_PRICES = "change_prices"
    CHANGE_STOCK = "change_stock"
    SEE_ORDERS = "see_orders"
    FULFIL = "fulfil"
    REFUND = "refund"
    SEE_PEOPLE = "see_people"
    MANAGE_PEOPLE = "manage_people"  # invite, take roles away
    EDIT_SHOP = "edit_shop"
    SEE_AUDIT = "see_audit"


_MODERATOR = frozenset({Action.SEE_SHOWS, Action.MODERATE})
_HOST = _MODERATOR | {Action.RUN_SHOWS, Action.PUBLISH, Action.SEE_CATALOGUE}
_PRODUCER = _HOST | {
    Action.EDIT_SHOWS,
    Action.EDIT_CATALOGUE,
    Action.CHANGE_PRICES,
    Action.CHANGE_STOCK,
    Action.SEE_ORDERS,
    Action.FULFIL,
    Action.REFUND,
    Action.SEE_PEOPLE,
}

ALLOWED: Mapping[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.PRODUCER: _PRODUCER,
    Role.HOST: _HOST,
    Role.MODERATOR: _MODERATOR,
}


def may(roles: Iterable[str], action: Action) -> bool:
    """Whether somebody who holds `roles` may do `action`. Unknown roles allow nothing."""
    return any(action in ALLOWED[Role(role)] for role in roles if role in set(Role))


def may_for_show(roles: Iterable[str], action: Action, *, user_id: str, host_id: str | None) -> bool:
    """As `may`, and a host without a higher role only touches shows of their own or of nobody's."""
    held = set(roles)
    if not may(held, action):
        return False
    if may(held - {Role.HOST}, action):
        return True
    return host_id is None or host_id == user_id
