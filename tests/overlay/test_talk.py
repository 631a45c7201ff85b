"""The room as people use it: join, talk, moderate, pin, buy. Real sockets, real store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from overlay import signals
from overlay.frames import PictureState, ShowState
from overlay.messages import OrderView, Personal

ORDER = "0197a0b0-0000-7000-8000-000000000001"
LINES = [{"variant_id": "mug-blue", "quantity": 1, "unit_price_minor": 1200}]


async def test_a_comment_is_acked_and_read_by_others_in_another_process(house: Any) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, guest = await house.join(one, "ann"), await house.join(two)
    ack = await ann.acked("say", text="  hello\nthere ")
    await guest.until(lambda: guest.texts == ["hello there"])
    await ann.until(lambda: ann.texts == ["hello there"])
    assert guest.offset == ann.offset
    assert ack.n == ann.offset.number
    late = await house.join(two)
    assert late.state == guest.state
    assert late.welcome.you.may == ()
    assert "say" in ann.welcome.you.may


async def test_guests_are_told_to_sign_in(house: Any) -> None:
    guest = await house.join(await house.overlay())
    for kind, fields in (("say", {"text": "hi"}), ("react", {"kind": "heart"}), ("unpin", {})):
        assert (await guest.refused(kind, **fields)).code == "not_signed_in"
    assert (await guest.refused("buy", order_id=ORDER, lines=LINES)).code == "not_signed_in"


async def test_moderators_delete_and_mute_and_staff_is_safe_from_them(house: Any) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, mod = await house.join(one, "ann"), await house.join(two, "max:moderator")
    host = await house.join(one, "hugo:host")
    await ann.acked("say", text="buy elsewhere")
    await host.acked("say", text="welcome")
    await mod.until(lambda: len(mod.texts) == 2)
    assert (
        await ann.refused("delete_comment", comment_id=mod.state.comments[0].comment_id)
    ).code == "not_allowed"
    spam = mod.state.comments[0]
    await mod.acked("delete_comment", comment_id=spam.comment_id)
    await ann.until(lambda: ann.texts == ["welcome"])
    assert (await mod.refused("delete_comment", comment_id=spam.comment_id)).code == "no_such_comment"
    await mod.acked("mute", user_id=spam.user_id, duration_s=60)
    await ann.until(lambda: "u-ann" in ann.state.muted)
    muted = await ann.refused("say", text="hey")
    assert muted.code == "muted"
    assert 0 < (muted.retry_after_ms or 0) <= 60_000
    assert (await mod.refused("mute", user_id="u-hugo")).code == "not_allowed"
    await mod.acked("unmute", user_id=spam.user_id)
    await ann.until(lambda: not ann.state.muted)
    await ann.acked("say", text="sorry")


async def test_a_mute_ends_by_itself(house: Any) -> None:
    overlay = await house.overlay()
    ann, mod = await house.join(overlay, "ann"), await house.join(overlay, "max:moderator")
    await mod.acked("mute", user_id="u-ann", duration_s=60)
    await ann.until(lambda: ann.state.muted)
    assert (await ann.refused("say", text="hey")).code == "muted"
    house.shift_ms += 61_000
    await ann.acked("say", text="hey")


async def test_producers_pin_and_change_stock_and_price(house: Any, shop: Any) -> None:
    overlay = await house.overlay()
    producer, guest = await house.join(overlay, "pia:producer"), await house.join(overlay)
    assert (await producer.refused("pin", product_id="sock")).code == "not_in_show"
    await producer.acked("pin", product_id="mug")
    await producer.acked("set_stock", variant_id="mug-blue", available=3)
    await producer.acked("set_price", variant_id="mug-blue", price_minor=900)
    await guest.until(lambda: guest.offset.number == 3)
    variant = guest.state.pin.variants[0]
    assert (variant.available, variant.price_minor, guest.state.stock) == (3, 900, {"mug-blue": 3})
    await producer.acked("unpin")
    await guest.until(lambda: guest.state.pin is None)
    assert [call[0] for call in shop.calls] == ["pinned", "set_stock", "set_price", "pinned"]


async def test_a_show_is_started_once_and_ended_once(house: Any, shop: Any) -> None:
    shop.state = ShowState.SCHEDULED
    overlay = await house.overlay()
    host, ann = await house.join(overlay, "hugo:host"), await house.join(overlay, "ann")
    assert (await host.refused("end_show")).code == "wrong_state"
    await host.acked("start_show")
    await ann.until(lambda: ann.state.show_state is ShowState.LIVE)
    assert (await host.refused("start_show")).code == "wrong_state"
    await host.acked("end_show")
    await ann.until(lambda: ann.state.show_state is ShowState.ENDED)
    assert (await ann.refused("say", text="bye")).code == "wrong_state"


async def test_a_tap_is_answered_once_and_news_come_to_the_buyer_alone(
    house: Any, shop: Any, redis: Redis
) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, phone, ben = [await house.join(o, n) for o, n in ((one, "ann"), (two, "ann"), (two, "ben"))]
    ack = await ann.acked("buy", order_id=ORDER, lines=LINES, id="tap")
    assert ack.order is not None
    assert ack.order.state == "charging"
    assert await ann.acked("buy", order_id=ORDER, lines=LINES, id="tap") == ack
    paid = OrderView(ORDER, "paid", 1200, "EUR")
    shop.orders[ORDER] = paid
    assert (await ann.acked("buy", order_id=ORDER, lines=LINES, id="tap")).order == paid, "as it is by now"
    await signals.publish_personal(redis, "u-ann", Personal(order=paid))
    for client in (ann, phone):
        await client.until(lambda client=client: client.personal == [paid])
    sold_out = [{**LINES[0], "quantity": 6}]
    assert (await ben.refused("buy", order_id=ORDER, lines=sold_out)).code == "sold_out"
    assert ben.personal == []


async def test_a_broken_shop_is_an_answer_and_not_a_crash(house: Any, shop: Any) -> None:
    ann = await house.join(await house.overlay(), "ann")
    shop.broken = True
    refused = await ann.refused("buy", order_id=ORDER, lines=LINES)
    assert (refused.code, refused.retry_after_ms) == ("unavailable", 1_000)
    shop.broken = False
    await ann.acked("buy", order_id=ORDER, lines=LINES)


async def test_slow_purchases_hold_up_nothing(house: Any, shop: Any) -> None:
    ann = await house.join(await house.overlay(), "ann")
    shop.pause = asyncio.Event()
    for number in range(3):
        await ann.send("buy", order_id=ORDER, lines=LINES, id=f"tap{number}")
    assert (await ann.refused("buy", order_id=ORDER, lines=LINES)).code == "busy"
    await ann.acked("say", text="waiting")
    shop.pause.set()
    await ann.until(lambda: all(f"tap{number}" in ann.answers for number in range(3)))
    assert {ann.answers[f"tap{number}"].order.state for number in range(3)} == {"charging"}


async def test_a_slow_purchase_is_given_up_in_time(house: Any, shop: Any) -> None:
    ann = await house.join(await house.overlay(command_s=0.1), "ann")
    shop.pause = asyncio.Event()
    assert (await ann.refused("buy", order_id=ORDER, lines=LINES)).code == "unavailable"


async def test_rates_tell_when_to_try_again(house: Any) -> None:
    house.now_ms = lambda: 1_700_000_000_000 + house.shift_ms
    ann = await house.join(await house.overlay(), "ann")
    for number in range(5):
        await ann.acked("say", text=str(number))
    refused = await ann.refused("say", text="too much")
    assert refused.code == "rate_limited"
    assert refused.retry_after_ms is not None
    house.shift_ms += refused.retry_after_ms
    await ann.acked("say", text="now")
    assert ann.texts[-1] != "too much"


async def test_reactions_and_viewers_are_summed_over_processes(
    house: Any, redis: Redis, eventually: Any
) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, ben, guest = await house.join(one, "ann"), await house.join(two, "ben"), await house.join(two)
    await house.join(one, "hugo:host")
    await guest.until(lambda: guest.pulses and guest.pulses[-1].viewers == 3)
    await ann.acked("react", kind="heart", count=7)
    await ben.acked("react", kind="heart")
    await ben.acked("react", kind="fire", count=2)

    def total(client: Any, kind: str) -> int:
        return sum(pulse.reactions.get(kind, 0) for pulse in client.pulses)

    for client in (ann, guest):
        await client.until(lambda c=client: (total(c, "heart"), total(c, "fire")) == (8, 2))

    async def three_watch() -> bool:
        return await signals.viewers(redis, "show-1") == 3

    await eventually(three_watch)
    await ben.leave()
    await ann.until(lambda: ann.pulses[-1].viewers == 2)


async def test_a_process_that_dies_takes_its_viewers_along(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlay.crowd.SHARE_LASTS_S", 1.5)
    one, two = await house.overlay(), await house.overlay()
    ann, _ = await house.join(one, "ann"), await house.join(two)
    await ann.until(lambda: ann.pulses and ann.pulses[-1].viewers == 2)
    await house.stop(two)
    await ann.until(lambda: ann.pulses[-1].viewers == 1)


async def test_a_repeated_id_is_answered_again_and_happens_once(house: Any, shop: Any) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, guest = await house.join(one, "ann"), await house.join(two)
    first = await ann.acked("say", id="same", text="hello")
    assert await ann.acked("say", id="same", text="hello") == first
    await ann.leave()
    again = await house.join(two, "ann")
    assert await again.acked("say", id="same", text="hello") == first
    pia, pia_two = await house.join(one, "pia:producer"), await house.join(two, "pia:producer")
    pinned = await pia.acked("pin", id="pin1", product_id="mug")
    assert await pia_two.acked("pin", id="pin1", product_id="mug") == pinned
    assert len(shop.calls) == 1
    await guest.until(lambda: guest.state.pin)
    assert guest.texts == ["hello"]
    assert guest.offset.number == 2


async def test_the_picture_and_purchases_come_from_outside(house: Any, redis: Redis) -> None:
    from overlay.log import ShowLog
    from overlay.messages import PictureChanged, Purchased

    guest = await house.join(await house.overlay())
    log = ShowLog(redis)
    await log.append("show-1", "picture:1", PictureChanged(n=0, at_ms=1, state=PictureState.AWAY))
    await log.append("show-1", "order:1", Purchased(n=0, at_ms=2, product_title="Mug", first_name="Ann"))
    await guest.until(lambda: guest.offset.number == 2)
    assert guest.state.picture is PictureState.AWAY


async def test_rooms_are_apart(house: Any) -> None:
    overlay = await house.overlay()
    ann, other = await house.join(overlay, "ann"), await house.join(overlay, "ben", show_id="show-2")
    await ann.acked("say", text="one")
    await other.acked("say", text="two")
    await ann.until(lambda: ann.texts)
    await other.until(lambda: other.texts)
    assert (ann.texts, other.texts) == (["one"], ["two"])
