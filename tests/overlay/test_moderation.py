"""Who may do what, and how often."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from overlay import moderation
from overlay.frames import Offset, UserId
from overlay.messages import AnyCommand
from overlay.moderation import Meter, Rate, cleaned, may, permit, permit_mute, permit_words, take
from overlay.ports import GUEST, Actor, Refusal
from overlay.room import opened

VIEWERS = {"say", "react", "buy", "join_waitlist", "leave_waitlist", "bid", "retract_bid"}
AUCTIONEERS = {"announce_auction", "open_auction", "cancel_auction"}
SELLERS = {"set_stock", "set_price", "start_flash", "end_flash", "schedule_drop", "cancel_drop"}
COMMANDS = {kind.__struct_config__.tag for kind in get_args(AnyCommand)}


def person(*roles: str, user_id: str = "u") -> Actor:
    return Actor(UserId(user_id), "s", "Ann", frozenset(roles))


def code_of(refusal: pytest.ExceptionInfo[Refusal]) -> str:
    return refusal.value.code


def test_the_table_speaks_of_commands_that_exist() -> None:
    assert moderation.EVERYTHING == COMMANDS
    assert all(row <= COMMANDS for row in moderation.MAY.values())


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_guests_may_nothing(command: str) -> None:
    with pytest.raises(Refusal) as refusal:
        permit(GUEST, command)
    assert code_of(refusal) == "not_signed_in"


@pytest.mark.parametrize(
    ("roles", "refused"),
    [
        (
            (),
            {
                "pin",
                "unpin",
                "start_show",
                "end_show",
                "mute",
                "unmute",
                "delete_comment",
            }
            | AUCTIONEERS
            | SELLERS,
        ),
        (("moderator",), {"pin", "unpin", "start_show", "end_show"} | AUCTIONEERS | SELLERS),
        (("host",), SELLERS | {"unmute"}),
        (("host", "moderator"), SELLERS),
        (("producer",), set()),
        (("owner",), set()),
        (("unheard_of",), COMMANDS - VIEWERS),
    ],
)
def test_roles(roles: tuple[str, ...], refused: set[str]) -> None:
    actor = person(*roles)
    assert COMMANDS - may(actor) == refused
    for command in refused:
        with pytest.raises(Refusal) as refusal:
            permit(actor, command)
        assert code_of(refusal) == "not_allowed"


def test_staff_are_muted_only_from_above() -> None:
    permit_mute(person("moderator"), "v", None)
    permit_mute(person("producer"), "v", "moderator")
    for actor, target in (
        (person("moderator"), "moderator"),
        (person("moderator"), "owner"),
        (person("host"), "host"),
    ):
        with pytest.raises(Refusal) as refusal:
            permit_mute(actor, "v", target)
        assert code_of(refusal) == "not_allowed"
    with pytest.raises(Refusal):
        permit_mute(person("owner"), "u", None)


def test_the_muted_are_told_until_when() -> None:
    state = replace(opened(Offset("e", 0)), muted={"u": 5_000, "w": None})
    with pytest.raises(Refusal) as refusal:
        permit_words(state, person(), 3_000)
    assert (code_of(refusal), refusal.value.retry_after_ms) == ("muted", 2_000)
    with pytest.raises(Refusal) as refusal:
        permit_words(state, person(user_id="w"), 3_000)
    assert (code_of(refusal), refusal.value.retry_after_ms) == ("muted", None)
    permit_words(state, person(), 5_000)
    permit_words(state, person("host"), 3_000)


@given(
    st.integers(1, 20),
    st.floats(0.1, 60),
    st.lists(st.integers(0, 5_000), min_size=1, max_size=60),
)
def test_a_bucket_never_lets_more_through_than_its_rate(burst: int, over_s: float, waits: list[int]) -> None:
    rate, bucket, now_ms, taken = Rate(burst, over_s), None, 0, 0
    for wait in waits:
        now_ms += wait
        bucket, retry_after_ms = take(rate, bucket, now_ms)
        if retry_after_ms == 0:
            taken += 1
        else:
            _, again = take(rate, bucket, now_ms + retry_after_ms)
            assert again == 0
    elapsed_s = (now_ms - waits[0]) / 1000
    assert taken <= burst + burst * elapsed_s / over_s + 1e-6


def test_the_meter_tells_what_and_when_and_keeps_people_apart() -> None:
    meter = Meter()
    for _ in range(5):
        meter.take("ann", "say", 0)
    meter.take("ben", "say", 0)
    meter.take("ann", "react", 0)
    with pytest.raises(Refusal) as refusal:
        meter.take("ann", "say", 0)
    assert code_of(refusal) == "rate_limited"
    assert refusal.value.retry_after_ms is not None
    assert "comments" in str(refusal.value)
    meter.take("ann", "say", refusal.value.retry_after_ms)


def test_the_meter_is_bounded() -> None:
    meter = Meter(size=10)
    for number in range(100):
        meter.take(str(number), "say", 0)
    assert len(meter._buckets) == 10


def test_comments_are_one_line_of_honest_text() -> None:
    assert cleaned("  so\tgood\n\n!\x00 ") == "so good !"
    assert cleaned("\u202egnp.exe\u202c") == "gnp.exe"
    assert cleaned("👩‍🎨 שלום") == "👩‍🎨 שלום"
    assert cleaned("\n\u2066 ") == ""
