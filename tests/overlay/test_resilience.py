"""What the room lives through: lost connections, a wiped, cut or absent store, slow readers, drains."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from overlay import signals
from overlay.frames import Offset
from overlay.log import ShowLog
from overlay.messages import StockChanged
from server.embedded import valkey

SHOW = "show-1"
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


def comments(count: int) -> list[str]:
    return [f"comment {number}" for number in range(count)]


# --- resuming ---


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
async def test_whoever_comes_back_has_missed_nothing(house: Any, redis: Redis, seed: int) -> None:
    chance, show = random.Random(seed), f"show-{seed}"
    overlays = [await house.overlay(), await house.overlay()]
    log = ShowLog(redis)
    restless = await house.join(overlays[0], show_id=show)

    async def talk() -> None:
        for number in range(120):
            await log.append(show, str(number), StockChanged(n=0, at_ms=1, variant_id="v", available=number))
            await asyncio.sleep(chance.random() * 0.002)

    talking = asyncio.create_task(talk())
    for _ in range(6):
        await asyncio.sleep(chance.random() * 0.04)
        if chance.random() < 0.5:
            restless.connection.transport.abort()
        await restless.leave()
        # Client.take applies events one by one and fails on a gap or a repetition.
        known = restless.offset.number
        restless = await house.join(chance.choice(overlays), show_id=show, last=restless)
        # A process that is itself behind the client can't tell it what it missed, and starts it again.
        assert restless.welcome.snapshot is None or restless.welcome.offset.number < known
    await talking
    await restless.until(lambda: restless.offset.number == 120)
    late = await house.join(overlays[1], show_id=show)
    assert restless.state == late.state
    await house.close()


async def test_a_stale_or_foreign_offset_gets_a_snapshot(house: Any, redis: Redis, monkeypatch: Any) -> None:
    overlay = await house.overlay()
    ann = await house.join(overlay)
    epoch = ann.offset.epoch
    for offset in (Offset("another", 3), Offset(epoch, 999), Offset("", 0)):
        ann.state = ann.state.__class__(**{**_fields(ann.state), "offset": offset})
        again = await house.join(overlay, last=ann)
        assert again.welcome.snapshot is not None
        assert again.offset == Offset(epoch, 0)


def _fields(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__struct_fields__}


async def test_away_for_too_long_gets_a_snapshot(house: Any, redis: Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr("overlay.live.HISTORY", 10)
    overlay, log = await house.overlay(), ShowLog(redis)
    ann = await house.join(overlay)
    stay = await house.join(overlay)
    await ann.leave()
    for number in range(30):
        await log.append(SHOW, str(number), StockChanged(n=0, at_ms=1, variant_id="v", available=number))
    await stay.until(lambda: stay.offset.number == 30)
    ann = await house.join(overlay, last=ann)
    assert ann.welcome.snapshot is not None
    assert ann.state == stay.state


async def test_checkpoints_let_a_new_process_load_a_long_log(
    house: Any, redis: Redis, monkeypatch: Any, eventually: Eventually
) -> None:
    monkeypatch.setattr("overlay.live.CHECKPOINT_EVERY", 50)
    monkeypatch.setattr("overlay.live.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("overlay.log.ENTRIES_KEPT", 200)
    one, log = await house.overlay(), ShowLog(redis)
    ann = await house.join(one)
    for number in range(600):
        await log.append(
            SHOW, str(number), StockChanged(n=0, at_ms=1, variant_id=f"v{number % 7}", available=number)
        )
    await ann.until(lambda: ann.offset.number == 600)

    async def based() -> bool:
        return int(await redis.hget(f"hawker:{{{SHOW}}}:base", "number") or 0) > 500

    await eventually(based)
    late = await house.join(await house.overlay())
    assert late.state == ann.state
    assert ann.resets == 0


# --- the store ---


async def test_a_wiped_store_begins_a_new_epoch_with_nothing_said_lost(house: Any, redis: Redis) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, ben = await house.join(one, "ann"), await house.join(two, "ben")
    await ann.acked("say", text="before")
    await ben.until(lambda: ben.texts == ["before"])
    old = ann.offset
    await redis.flushdb()
    await ben.acked("say", text="after")
    for client in (ann, ben):
        await client.until(lambda c=client: c.texts == ["before", "after"] and c.offset.epoch != old.epoch)
    assert ann.offset == ben.offset
    assert ann.resets >= 1
    late = await house.join(two, last=ann)
    assert late.welcome.snapshot is None


async def test_a_wiped_store_is_noticed_in_silence(house: Any, redis: Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr("overlay.live.LOOK_EVERY_S", 0.1)
    ann = await house.join(await house.overlay(), "ann")
    await ann.acked("say", text="before")
    await ann.until(lambda: ann.texts)
    await redis.flushdb()
    await ann.until(lambda: ann.resets == 1)
    assert ann.texts == ["before"]


async def test_a_store_that_lost_the_end_of_its_log_begins_a_new_epoch(house: Any, redis: Redis) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, ben = await house.join(one, "ann"), await house.join(two, "ben")
    await ann.acked("say", text="one")
    replica = {key: await redis.dump(key) for key in (f"hawker:{{{SHOW}}}:head", f"hawker:{{{SHOW}}}:log")}
    await ann.acked("say", text="two")
    await ann.acked("say", text="three")
    await ben.until(lambda: len(ben.texts) == 3)
    old = ann.offset
    for key, value in replica.items():  # a failover to a replica that the last two entries had not reached
        await redis.restore(key, 0, value, replace=True)
    await ben.acked("say", text="four")
    for client in (ann, ben):
        await client.until(lambda c=client: sorted(c.texts) == sorted(["one", "two", "three", "four"]))
        assert client.offset.epoch != old.epoch
    late = await house.join(one, last=ann)
    assert late.state == ann.state == ben.state


async def test_a_lost_message_is_found_without_a_later_one(
    house: Any, redis: Redis, monkeypatch: Any
) -> None:
    monkeypatch.setattr("overlay.live.LOOK_EVERY_S", 0.1)
    ann = await house.join(await house.overlay(), "ann")
    # An append whose publication nobody hears.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("overlay.log.events_channel", lambda show_id: "nowhere")
        await ShowLog(redis).append(SHOW, "x", StockChanged(n=0, at_ms=1, variant_id="v", available=3))
    await ann.until(lambda: ann.state.stock.get("v") == 3)


@pytest.fixture
async def own_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Starts a store that this test may stop, always at the same place and with the same data."""
    directory = tmp_path_factory.mktemp("valkey", numbered=True)
    started: list[Any] = []

    async def start() -> Any:
        started.append(await valkey.start(directory / "v", Path(directory / "log"), durable=True))
        return started[-1]

    yield start
    for server in started:
        await server.stop()


async def test_without_its_store_the_room_stays_and_says_so(house: Any, own_store: Any) -> None:
    store = await own_store()
    overlay = await house.overlay(redis_url=store.url)
    ann = await house.join(overlay, "ann")
    await ann.acked("say", text="before")
    await store.stop()
    refused = await ann.refused("say", id="again", text="while away")
    assert refused.code == "unavailable"
    assert refused.retry_after_ms
    late = await house.join(overlay)
    assert late.texts == ["before"]
    store = await own_store()
    async with asyncio.timeout(30):
        while not hasattr(await ann.ask("say", id="again", text="while away"), "n"):
            house.shift_ms += 2_000
            await asyncio.sleep(0.05)
    await late.until(lambda: late.texts == ["before", "while away"])
    assert await _status(overlay, "/healthz") == 200


async def test_an_overlay_starts_before_its_store(house: Any, own_store: Any, eventually: Eventually) -> None:
    store = await own_store()
    await store.stop()
    overlay = await house.overlay(redis_url=store.url)
    assert await _status(overlay, "/healthz") == 503
    early = await house.connect(overlay)
    await early.send('{"type":"hello","protocol":1,"show_id":"show-1"}')
    async with asyncio.timeout(30):
        await early.wait_closed()
    assert early.close_code == 4503
    await own_store()

    async def ready() -> bool:
        return await _status(overlay, "/healthz") == 200

    await eventually(ready)
    ann = await house.join(overlay, "ann")
    await ann.acked("say", text="hello")


async def _status(overlay: Any, path: str) -> int:
    return int((await _get(overlay, path)).split(b" ", 2)[1])


async def _get(overlay: Any, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", overlay.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_health_and_metrics_are_on_the_same_port(house: Any, eventually: Eventually) -> None:
    overlay = await house.overlay()
    ann = await house.join(overlay, "ann")
    await ann.acked("say", text="hello")
    health = await _get(overlay, "/healthz")
    assert b'"status": "ok"' in health
    assert b"application/json" in health
    metrics = await _get(overlay, "/metrics")
    assert b'hawker_overlay_commands_total{outcome="ack",type="say"} 1.0' in metrics
    assert b"hawker_overlay_connections 1.0" in metrics
    assert b"hawker_overlay_rooms 1.0" in metrics


# --- leaving ---


async def test_a_slow_reader_is_sent_away_to_resume_and_holds_up_nobody(
    house: Any, redis: Redis, monkeypatch: Any
) -> None:
    monkeypatch.setattr("overlay.session.CLOSE_WITHIN_S", 60.0)
    monkeypatch.setattr("overlay.gateway.GOODBYE_S", 60.0)
    overlay, log = await house.overlay(send_buffer_bytes=8 * 1024), ShowLog(redis)
    quick = await house.join(overlay)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", overlay.port))
    slow = await house.connect(overlay, sock=narrow, max_queue=1)
    await slow.send('{"type":"hello","protocol":1,"show_id":"show-1"}')
    await slow.recv()
    slow.transport.pause_reading()
    fill = "x" * 8_000
    for number in range(150):
        offset = await log.append(
            SHOW, str(number), StockChanged(n=0, at_ms=1, variant_id=fill, available=number)
        )
        await quick.until(lambda offset=offset: quick.offset == offset)

    async def sent_away() -> bool:
        return b'hawker_overlay_closes_total{code="4508"} 1.0' in await _get(overlay, "/metrics")

    async with asyncio.timeout(30):
        while not await sent_away():
            await asyncio.sleep(0.05)
    slow.transport.resume_reading()
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await slow.recv()
    assert slow.close_code == 4508
    assert (await house.join(overlay, last=quick)).welcome.snapshot is None


async def test_a_revoked_session_is_closed_everywhere(house: Any, redis: Redis) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, phone, ben = [await house.join(o, n) for o, n in ((one, "ann"), (two, "ann"), (two, "ben"))]
    await signals.revoke_session(redis, "s-ann")
    assert await ann.close_code() == 4403
    assert await phone.close_code() == 4403
    await ben.acked("say", text="still here")


async def test_a_session_revoked_unheard_is_closed_when_the_store_is_heard_again(
    house: Any, own_store: Any
) -> None:
    store = await own_store()
    overlay = await house.overlay(redis_url=store.url)
    ann = await house.join(overlay, "ann")
    async with Redis.from_url(store.url) as client:
        await client.zadd(signals.REVOKED_RECENTLY, {"s-ann": 1})
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert await ann.close_code() == 4403


async def test_a_drain_sends_everybody_elsewhere_and_sees_purchases_through(
    house: Any, shop: Any, eventually: Eventually
) -> None:
    one, two = await house.overlay(), await house.overlay()
    ann, guest = await house.join(one, "ann"), await house.join(one)
    shop.pause = asyncio.Event()
    order_id = "0197a0b0-0000-7000-8000-000000000001"
    await ann.send(
        "buy", order_id=order_id, lines=[{"variant_id": "mug-blue", "quantity": 1, "unit_price_minor": 1200}]
    )

    async def tapped() -> bool:
        return ("buy", order_id) in shop.calls

    await eventually(tapped)
    draining = asyncio.create_task(one.drain())
    assert await guest.close_code() == 4509
    assert await ann.close_code() == 4509
    assert not draining.done()
    shop.pause.set()
    async with asyncio.timeout(30):
        await draining
    assert shop.orders[order_id].state == "charging"
    with pytest.raises(OSError):
        await house.connect(one)
    again = await house.join(two, "ann", last=ann)
    assert again.welcome.snapshot is None


async def test_an_empty_room_is_closed_after_a_while_and_opens_again(
    house: Any, monkeypatch: Any, eventually: Eventually
) -> None:
    monkeypatch.setattr("overlay.rooms.EMPTY_FOR_S", 0.1)
    monkeypatch.setattr("overlay.rooms.PULSE_EVERY_S", 0.05)
    overlay = await house.overlay()
    ann = await house.join(overlay, "ann")
    await ann.acked("say", text="hello")
    await ann.leave()

    async def no_rooms() -> bool:
        return b"hawker_overlay_rooms 0.0" in await _get(overlay, "/metrics")

    await eventually(no_rooms)
    again, ben = await house.join(overlay, "ann"), await house.join(overlay, "ben")
    assert again.texts == ["hello"]
    await ben.acked("say", text="hi")
    await again.until(lambda: again.texts == ["hello", "hi"])
