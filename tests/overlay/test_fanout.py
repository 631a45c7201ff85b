"""One frame for all, in order, to each member from where it came in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from overlay import fanout as fanout_module
from overlay.crowd import Crowd
from overlay.fanout import Fanout, framed, tick_s
from overlay.frames import Offset
from overlay.messages import AnyServerFrame, Events, Pulse, Reset, StockChanged
from overlay.room import apply, opened


class Viewer:
    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.stale: list[bytes] = []

    def write(self, frame: bytes, *, stale_soon: bool = False) -> None:
        (self.stale if stale_soon else self.frames).append(frame)

    @property
    def messages(self) -> list[AnyServerFrame]:
        return [msgspec.json.decode(payload(frame), type=AnyServerFrame) for frame in self.frames]

    @property
    def numbers(self) -> list[int]:
        return [
            event.n for message in self.messages if isinstance(message, Events) for event in message.events
        ]


def payload(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class Stage:
    """A fan-out over a state that moves on as events are offered."""

    def __init__(self) -> None:
        self.state = opened(Offset("e", 0))
        self.fanout = Fanout(lambda: self.state, lambda _: None)

    def happen(self, count: int = 1) -> None:
        for _ in range(count):
            number = self.state.offset.number + 1
            event = StockChanged(n=number, at_ms=0, variant_id="v", available=number)
            self.state = apply(self.state, event)
            self.fanout.offer(event)

    def join(self) -> Viewer:
        viewer = Viewer()
        self.fanout.join(viewer)
        return viewer


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    running = asyncio.create_task(stage.fanout.run())
    yield stage
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until_idle(fanout: Fanout) -> None:
    async with asyncio.timeout(30):
        while fanout._waiting or fanout._must_reset or fanout._writing:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_frames_are_those_of_the_library(size: int) -> None:
    from websockets.frames import Frame, Opcode

    data = b"x" * size
    assert framed(data) == Frame(Opcode.TEXT, data).serialize(mask=False)


async def test_all_get_the_same_bytes(stage: Stage) -> None:
    one, two = stage.join(), stage.join()
    stage.happen(3)
    await until_idle(stage.fanout)
    assert one.numbers == [1, 2, 3]
    assert all(a is b for a, b in zip(one.frames, two.frames, strict=True))


async def test_the_first_event_goes_at_once_and_what_follows_is_gathered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "TICK_MIN_S", 2.0)
    monkeypatch.setattr(fanout_module, "TICK_MAX_S", 2.0)
    viewer = stage.join()
    stage.happen()
    for _ in range(5):
        await asyncio.sleep(0)
    assert viewer.numbers == [1]
    for _ in range(4):
        stage.happen(2)
        await asyncio.sleep(0)
    await until_idle(stage.fanout)
    assert viewer.numbers == list(range(1, 10))
    assert len(viewer.frames) == 2


async def test_who_comes_in_between_gets_only_what_is_newer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    first = [stage.join() for _ in range(3)]
    late = []
    for _ in range(40):
        stage.happen(2)
        late.append((stage.state.offset.number, stage.join()))
        await asyncio.sleep(0.0005)
    await until_idle(stage.fanout)
    assert [viewer.numbers for viewer in first] == [list(range(1, 81))] * 3
    for number, viewer in late:
        assert viewer.numbers == list(range(number + 1, 81))


async def test_a_reset_takes_the_place_of_what_waits(stage: Stage) -> None:
    viewer = stage.join()
    stage.happen(2)
    stage.state = replace(stage.state, offset=Offset("f", 0))
    stage.fanout.reset()
    stage.happen()
    await until_idle(stage.fanout)
    stage.happen()
    await until_idle(stage.fanout)
    second = StockChanged(n=2, at_ms=0, variant_id="v", available=2)
    reset = Reset(snapshot=replace(stage.state, offset=Offset("f", 1), stock={"v": 1}))
    assert viewer.messages == [reset, Events(epoch="f", events=(second,))]


async def test_more_than_anybody_can_follow_becomes_a_snapshot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "EVENTS_WAITING", 10)
    viewer = stage.join()
    stage.happen(50)
    await until_idle(stage.fanout)
    first = viewer.messages[0]
    assert isinstance(first, Reset)
    assert first.snapshot.stock == {"v": 50}
    assert viewer.numbers == []


async def test_pulses_may_be_left_out(stage: Stage) -> None:
    viewer = stage.join()
    stage.fanout.tell(Pulse(viewers=1, reactions={}))
    assert (len(viewer.frames), len(viewer.stale)) == (0, 1)


def test_the_tick_widens_with_the_room() -> None:
    assert tick_s(1) == 0.005
    assert tick_s(1_000) == pytest.approx(0.05)
    assert tick_s(10_000) == pytest.approx(0.5)
    assert tick_s(10**6) == 1.0
    assert tick_s(1_000, wrote_s=0.04) == pytest.approx(0.2)  # a slow machine is not spent on writing
    assert tick_s(1_000, wrote_s=3.0) == 1.0


def test_a_crowd_is_summed_over_processes_and_forgets_the_dead() -> None:
    one, two = Crowd("one"), Crowd("two")
    one.react("heart", 3)
    two.react("heart", 2)
    one.hear(two.share(5), now_s=0)
    one.hear(one.share(7), now_s=0)  # its own words
    assert one.pulse(7, now_s=1) == Pulse(viewers=12, reactions={"heart": 5})
    assert one.pulse(7, now_s=2) is None
    assert one.pulse(7, now_s=5) == Pulse(viewers=7, reactions={})
    assert one.pulse(7, now_s=9) is None
    assert one.pulse(7, now_s=10) == Pulse(viewers=7, reactions={}), "a sign of life"
    assert one.viewers == 7
