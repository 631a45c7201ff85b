"""Overlay processes on free ports with a real store, and websocket clients that follow the protocol."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from overlay.frames import (
    Offset,
    ProductCard,
    ShowId,
    ShowState,
    UserId,
    VariantCard,
)
from overlay.gateway import Overlay, OverlaySettings
from overlay.log import open_redis
from overlay.messages import (
    Ack,
    AnyServerFrame,
    Buy,
    Events,
    OrderView,
    Personal,
    Pulse,
    Refused,
    Reset,
    Snapshot,
    Welcome,
)
from overlay.ports import GUEST, Actor, PriceNow, Refusal, RoomSeed, SellingAnswer, Visit
from overlay.room import replay
from overlay.selling import SellingCommand

SHOW = "show-1"
ORIGIN = "https://shop.example"
CARD = ProductCard("mug", "Mug", "EUR", (VariantCard("mug-blue", "Blue", 1200, 5),))
T = TypeVar("T")
_frames: msgspec.json.Decoder[AnyServerFrame] = msgspec.json.Decoder(AnyServerFrame)
_numbers = itertools.count(1)


class Doorman:
    """Tickets are people's names, `name` or `name:role`; good for any show whose id begins with `show`."""

    async def admit(self, show_id: str, ticket: str | None) -> Visit:
        if not show_id.startswith("show"):
            raise Refusal("no_such_show", "There is no such show.")
        if ticket is None:
            return Visit(ShowId(show_id), GUEST)
        if ticket == "forged":
            raise Refusal("bad_ticket", "Get a new ticket.")
        name, _, role = ticket.partition(":")
        roles = frozenset({role} if role else ())
        return Visit(ShowId(show_id), Actor(UserId(f"u-{name}"), f"s-{name}", name.title(), roles))


@dataclass
class Shop:
    """A shop with one product. `pause` holds every purchase until it is set; `broken` fails them."""

    stock: dict[str, int] = field(default_factory=lambda: {"mug-blue": 5})
    state: ShowState = ShowState.LIVE
    pin: ProductCard | None = None
    orders: dict[str, OrderView] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    broken: bool = False
    pause: asyncio.Event | None = None

    async def seed(self, show_id: ShowId) -> RoomSeed:
        return RoomSeed(self.state, self.pin, dict(self.stock))

    async def card(self, show_id: ShowId, product_id: str) -> ProductCard:
        if product_id != CARD.product_id:
            raise Refusal("not_in_show", "The product is not in this show.")
        return CARD

    async def pinned(self, show_id: ShowId, product_id: str | None, by: UserId) -> None:
        self.calls.append(("pinned", product_id, by))

    async def set_stock(self, show_id: ShowId, variant_id: str, available: int, by: UserId) -> int:
        self.calls.append(("set_stock", variant_id, available, by))
        return available

    async def set_price(self, show_id: ShowId, variant_id: str, price_minor: int, by: UserId) -> PriceNow:
        self.calls.append(("set_price", variant_id, price_minor, by))
        return PriceNow(price_minor)

    async def set_show_state(self, show_id: ShowId, state: ShowState, by: UserId) -> None:
        self.calls.append(("set_show_state", state, by))

    async def sell(self, show_id: ShowId, actor: Actor, command: SellingCommand) -> SellingAnswer:
        self.calls.append(("sell", actor.user_id, command))
        raise Refusal("no_such_flash", "The flash price is over.")

    async def buy(self, show_id: ShowId, actor: Actor, command: Buy) -> OrderView:
        self.calls.append(("buy", command.order_id))
        if self.pause:
            await self.pause.wait()
        if self.broken:
            raise RuntimeError("the database is on fire")
        if command.lines[0].quantity > self.stock["mug-blue"]:
            raise Refusal("sold_out", "Not enough are left.")
        return self.orders.setdefault(command.order_id, OrderView(command.order_id, "charging", 1200, "EUR"))


@dataclass
class Client:
    """A client that keeps a room's state as PROTOCOL.md says, and checks that no event is missing."""

    connection: ClientConnection
    welcome: Welcome | None = None
    state: Snapshot | None = None
    seen: list[str] = field(default_factory=list)
    resets: int = 0
    answers: dict[str | None, Ack | Refused] = field(default_factory=dict)
    personal: list[OrderView] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        async for message in self.connection:
            self.take(_frames.decode(message))
            self.changed.set()

    def take(self, frame: AnyServerFrame) -> None:
        match frame:
            case Welcome():
                self.welcome = frame
                self.state = frame.snapshot or self.state
            case Events():
                assert self.state is not None
                assert self.state.offset.epoch == frame.epoch
                self.state = replay(self.state, frame.events)
                self.seen += [event.comment_id for event in frame.events if hasattr(event, "text")]
            case Reset():
                self.state, self.resets = frame.snapshot, self.resets + 1
            case Ack() | Refused():
                self.answers[frame.id] = frame
            case Personal():
                self.personal.append(frame.order)
            case Pulse():
                self.pulses.append(frame)

    async def until(self, condition: Callable[[], T], within_s: float = 30) -> T:
        async with asyncio.timeout(within_s):
            while not (value := condition()):
                self.changed.clear()
                if self.reader is not None and self.reader.done() and not self.changed.is_set():
                    self.reader.result()
                await self.changed.wait()
        return value

    async def send(self, kind: str, /, **fields: Any) -> str:
        fields.setdefault("id", f"c{next(_numbers)}")
        await self.connection.send(msgspec.json.encode({"type": kind, **fields}).decode())
        return cast(str, fields["id"])

    async def ask(self, kind: str, /, **fields: Any) -> Ack | Refused:
        command_id = await self.send(kind, **fields)
        return await self.until(lambda: self.answers.pop(command_id, None))

    async def acked(self, kind: str, /, **fields: Any) -> Ack:
        answer = await self.ask(kind, **fields)
        assert isinstance(answer, Ack), answer
        return answer

    async def refused(self, kind: str, /, **fields: Any) -> Refused:
        answer = await self.ask(kind, **fields)
        assert isinstance(answer, Refused), answer
        return answer

    @property
    def texts(self) -> list[str]:
        return [comment.text for comment in self.state.comments] if self.state else []

    @property
    def offset(self) -> Offset:
        assert self.state is not None
        return self.state.offset

    async def leave(self) -> None:
        await self.connection.close()
        if self.reader is not None:
            await asyncio.gather(self.reader, return_exceptions=True)

    async def close_code(self, within_s: float = 30) -> int | None:
        async with asyncio.timeout(within_s):
            await self.connection.wait_closed()
        return self.connection.close_code


@dataclass(repr=False)
class House:
    """Starts overlay processes and clients, and ends them."""

    redis_url: str
    shop: Shop
    running: list[tuple[Overlay, Redis]] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    shift_ms: int = 0

    async def overlay(self, redis_url: str | None = None, **settings: Any) -> Overlay:
        redis = open_redis(redis_url or self.redis_url, deadline_s=10.0)
        patient = OverlaySettings(
            port=0, allowed_origins=(ORIGIN,), hello_s=60, admit_s=60, command_s=60, store_s=60, drain_s=0.2
        )
        chosen = replace(patient, **settings)
        overlay = Overlay(chosen, Doorman(), self.shop, redis, self.now_ms)
        self.running.append((overlay, redis))
        await overlay.start()
        return overlay

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.shift_ms

    async def connect(self, overlay: Overlay, **options: Any) -> ClientConnection:
        return await connect(
            f"ws://127.0.0.1:{overlay.port}/", **{"compression": None, "open_timeout": 60, **options}
        )

    async def join(
        self,
        overlay: Overlay,
        ticket: str | None = None,
        show_id: str = SHOW,
        last: Client | None = None,
        **options: Any,
    ) -> Client:
        client = Client(await self.connect(overlay, **options))
        hello: dict[str, Any] = {"type": "hello", "protocol": 1, "show_id": show_id, "ticket": ticket}
        if last is not None:
            client.state, client.seen, client.resets = last.state, last.seen, last.resets
            hello["resume"] = msgspec.to_builtins(last.offset)
        await client.connection.send(msgspec.json.encode(hello).decode())
        client.reader = asyncio.create_task(client.read())
        client.reader.add_done_callback(lambda _: client.changed.set())
        self.clients.append(client)
        await client.until(lambda: client.welcome)
        return client

    async def stop(self, overlay: Overlay) -> None:
        entry = next(entry for entry in self.running if entry[0] is overlay)
        self.running.remove(entry)
        await overlay.stop()
        await entry[1].aclose()

    async def close(self) -> None:
        await asyncio.gather(*(client.leave() for client in self.clients), return_exceptions=True)
        for overlay, _ in tuple(self.running):
            await self.stop(overlay)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def house(redis_url: str, shop: Shop) -> AsyncIterator[House]:
    house = House(redis_url, shop)
    yield house
    await house.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    async def wait(condition: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(30):
            while not (value := await condition()):
                await asyncio.sleep(0.02)
        return value

    return wait
