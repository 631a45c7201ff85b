"""Who may do what."""

from __future__ import annotations

import pytest

from server.auth.roles import ALLOWED, Action, Role, may, may_for_show

MONEY = {Action.CHANGE_PRICES, Action.CHANGE_STOCK, Action.REFUND}
MONEY_AND_PEOPLE = MONEY | {Action.MANAGE_PEOPLE, Action.EDIT_SHOP}


def test_owners_may_everything_and_strangers_nothing() -> None:
    assert all(may(["owner"], action) for action in Action)
    assert not any(may(roles, action) for roles in ([], ["king"]) for action in Action)


@pytest.mark.parametrize("role", [Role.HOST, Role.MODERATOR])
def test_hosts_and_moderators_touch_neither_money_nor_people(role: Role) -> None:
    assert not ALLOWED[role] & MONEY_AND_PEOPLE


def test_producers_do_not_manage_people() -> None:
    assert not may(["producer"], Action.MANAGE_PEOPLE)
    assert may(["producer"], Action.CHANGE_PRICES)


def test_roles_add_up() -> None:
    assert may(["moderator", "producer"], Action.REFUND)


def test_a_host_publishes_own_shows_and_nobodys() -> None:
    for host_id, allowed in ((None, True), ("me", True), ("other", False)):
        assert may_for_show(["host"], Action.PUBLISH, user_id="me", host_id=host_id) is allowed
    assert may_for_show(["host", "producer"], Action.PUBLISH, user_id="me", host_id="other")
    assert not may_for_show(["moderator"], Action.PUBLISH, user_id="me", host_id=None)
