"""The show log on a real store: numbers, dedupes, begins new epochs, loads whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from overlay import log as log_module
from overlay.frames import Offset, ShowId
from overlay.log import (
    LogUnavailable,
    ShowLog,
    Stored,
    events_channel,
    open_redis,
    parse_published,
)
from overlay.messages import Commented, StockChanged
from overlay.room import opened, replay

SHOW = ShowId("s1")
SEED = opened(Offset("", 0), stock={"v": 9})


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


@pytest.fixture
def log(redis: Redis) -> ShowLog:
    return ShowLog(redis)


def stock(available: int) -> StockChanged:
    return StockChanged(n=0, at_ms=1, variant_id="v", available=available)


async def test_an_append_is_numbered_published_and_read_back(log: ShowLog, redis: Redis) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(events_channel(SHOW))
        first = await log.append(SHOW, "a", stock(1))
        second = await log.append(SHOW, "b", stock(2))
        assert (first.number, second) == (1, Offset(first.epoch, 2))
        messages = [m async for m in _some(listener, 2)]
    assert [parse_published(m["data"]) for m in messages] == [
        (first.epoch, log_module.Entry("a", replace(stock(1), n=1))),
        (first.epoch, log_module.Entry("b", replace(stock(2), n=2))),
    ]
    tail = await log.tail(SHOW, first, "a")
    assert tail is not None
    assert [entry.event for entry in tail] == [replace(stock(2), n=2)]
    assert await log.head(SHOW) == second


async def _some(listener, count):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(30):
        while count:
            if message := await listener.get_message(timeout=1):
                count -= 1
                yield message


async def test_the_same_event_id_happens_once(log: ShowLog) -> None:
    offsets = await asyncio.gather(*(log.append(SHOW, "same", stock(1)) for _ in range(20)))
    assert len({(o.epoch, o.number) for o in offsets}) == 1
    assert await log.head(SHOW) == offsets[0]
    assert await log.seen(SHOW, "same") == offsets[0]
    assert await log.seen(SHOW, "other") is None


async def test_the_first_base_wins_and_loads_with_what_follows(log: ShowLog) -> None:
    assert await log.whole(SHOW) is None
    opened_at = await log.open(SHOW, SEED)
    assert await log.open(SHOW, opened(Offset("", 0), stock={"v": 1})) == opened_at
    await log.append(SHOW, "a", stock(3))
    stored = await log.whole(SHOW)
    assert isinstance(stored, Stored)
    assert stored.base.stock == {"v": 9}
    state = replay(stored.base, [entry.event for entry in stored.entries])
    assert (state.stock, state.offset) == ({"v": 3}, Offset(opened_at.epoch, 1))


async def test_an_epoch_begun_by_an_append_is_given_a_base(log: ShowLog) -> None:
    head = await log.append(SHOW, "a", stock(3))
    assert await log.whole(SHOW) == head
    assert await log.open(SHOW, SEED) == head
    stored = await log.whole(SHOW)
    assert isinstance(stored, Stored)
    assert [entry.event_id for entry in stored.entries] == ["a"]


async def test_a_checkpoint_moves_the_base_forward_only(log: ShowLog) -> None:
    head = await log.open(SHOW, SEED)
    for number in range(1, 5):
        head = await log.append(SHOW, str(number), stock(number))
    await log.checkpoint(SHOW, opened(Offset(head.epoch, 3), stock={"v": 3}))
    await log.checkpoint(SHOW, opened(Offset(head.epoch, 2), stock={"v": 2}))
    await log.checkpoint(SHOW, opened(Offset("other", 4), stock={"v": 0}))
    await log.checkpoint(SHOW, opened(Offset(head.epoch, 9), stock={"v": 0}))
    stored = await log.whole(SHOW)
    assert isinstance(stored, Stored)
    assert (stored.base.offset.number, stored.base.stock) == (3, {"v": 3})
    assert [entry.event.n for entry in stored.entries] == [
        1,
        2,
        3,
        4,
    ]  # history before the base, for resuming


async def test_a_trimmed_log_says_that_it_cannot_be_read(
    log: ShowLog, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "ENTRIES_KEPT", 100)
    await log.open(SHOW, SEED)
    first = await log.append(SHOW, "0", stock(0))
    for number in range(1, 400):
        head = await log.append(SHOW, str(number), stock(number))
    assert await redis.xlen(f"hawker:{{{SHOW}}}:log") < 250
    assert await log.whole(SHOW) == head
    assert await log.tail(SHOW, first, "0") is None
    again = await log.open(SHOW, SEED, replaces=head)
    assert again.number == 0
    assert again.epoch != head.epoch


async def test_a_wiped_or_rolled_back_log_is_no_tail(log: ShowLog, redis: Redis) -> None:
    await log.append(SHOW, "a", stock(1))
    head = await log.append(SHOW, "b", stock(2))
    assert await log.tail(SHOW, head, "b") == ()
    assert await log.tail(SHOW, head, "another") is None
    assert await log.tail(SHOW, replace(head, number=3), "c") is None
    await redis.flushdb()
    assert await log.tail(SHOW, head, "b") is None
    fresh = await log.append(SHOW, "c", stock(2))
    assert fresh.number == 1
    assert fresh.epoch != head.epoch
    assert await log.tail(SHOW, Offset(head.epoch, 0), None) is None
    assert await log.tail(SHOW, Offset(fresh.epoch, 0), None) != ()


async def test_an_epoch_that_moved_on_is_not_replaced(log: ShowLog) -> None:
    old = await log.append(SHOW, "a", stock(1))
    head = await log.append(SHOW, "b", stock(2))
    assert await log.open(SHOW, SEED, replaces=old) == head


async def test_a_log_expires_some_time_after_the_show(log: ShowLog, redis: Redis) -> None:
    await log.open(SHOW, SEED)
    await log.append(SHOW, "a", stock(1))
    keys = await redis.keys(f"hawker:{{{SHOW}}}:*")
    assert len(keys) == 4
    assert all([await redis.ttl(key) > 0 for key in keys])


async def test_a_store_that_is_down_is_unavailable() -> None:
    async with open_redis("redis://127.0.0.1:1") as client:
        with pytest.raises(LogUnavailable):
            await ShowLog(client).append(SHOW, "a", stock(1))


async def test_a_store_that_hangs_is_unavailable_within_the_deadline(log: ShowLog, redis: Redis) -> None:
    await log.append(SHOW, "a", stock(1))
    await redis.client_pause(600_000, all=False)  # all that may write, so that it can be ended
    with pytest.raises(LogUnavailable):
        await ShowLog(redis, deadline_s=0.05).append(SHOW, "b", stock(1))
    await redis.client_unpause()
    offset = await log.append(SHOW, "b", stock(1))
    assert offset.number == 2


async def test_text_survives(log: ShowLog) -> None:
    said = Commented(n=0, at_ms=1, comment_id="c", user_id="u", name="Zoë", text='🎉 "\\ \u2028 \n ')
    await log.append(SHOW, "a", said)
    await log.open(SHOW, SEED)
    stored = await log.whole(SHOW)
    assert isinstance(stored, Stored)
    assert stored.entries[0].event == replace(said, n=1)
