"""Some hundred bidders in a process: enter the room, bid twice a second, come back after a fall.

A bid without an answer is sent again with its id once its bidder is back. What they offer rises with the
clock, so that many bids are above what others have just offered, and others in flight at the same
time are refused.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import msgspec
from redis.asyncio import Redis

from loadtests.commerce.crowd import Hear, in_crowd, say
from loadtests.commerce.drop_buyers import Member, masked
from overlay.log import open_redis
from server.tickets import RoomTicket, Tickets

ENTER_AT_ONCE = 50
AGAIN_S = 0.15
RISE_MINOR_PER_S = 40_000
EVERY_S = 0.5
PATIENCE_S = 20.0
_TEXT = 0x81


@dataclass(slots=True)
class Bid:
    """`sent_s` first, by the wall clock; `told`: accepted, or the refusal's code."""

    id: str
    frame: bytes
    sent_s: float
    answered_s: float = 0.0
    told: str = ""
    again: int = 0


@dataclass(slots=True)
class Prices:
    """The least that the room asks for, as its newest event says."""

    next_minor: int

    def hear(self, events: bytearray) -> None:
        found = events.rfind(b'"next_minor":')
        if found >= 0:
            digits = events[found + 13 : found + 24]
            self.next_minor = int(digits[: len(digits) - len(digits.lstrip(b"0123456789"))])


class Connection(Member):
    """A bidder's connection: answers go to their bids."""

    def __init__(self, bids: dict[str, Bid], prices: Prices, lost: asyncio.Event) -> None:
        super().__init__()
        self._bids, self._prices, self.lost = bids, prices, lost

    def send(self, bid: Bid) -> None:
        if not bid.told and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bid.frame)

    def _frame(self, opcode: int, data: bytearray, begin: int, size: int) -> None:
        head = data[begin : begin + 20]
        if opcode == _TEXT and head.startswith((b'{"type":"ack"', b'{"type":"refused"')):
            self._answered(bytes(data[begin : begin + size]))
        elif opcode == _TEXT and head.startswith(b'{"type":"events"'):
            self._prices.hear(data[begin : begin + size])
        else:
            super()._frame(opcode, data, begin, size)

    def _answered(self, frame: bytes) -> None:
        answer = msgspec.json.decode(frame)
        bid = self._bids.get(answer["id"])
        if bid is None or bid.told:
            return
        if "retry_after_ms" in answer:  # not decided: the same again
            bid.again += 1
            asyncio.get_running_loop().call_later(answer["retry_after_ms"] / 1000, self.send, bid)
            return
        bid.answered_s, bid.told = time.time(), answer.get("code", "accepted")

    def _lost(self, why: str) -> None:
        super()._lost(why)
        self.lost.set()


@dataclass
class Bidder:
    """One person, through as many connections as it takes."""

    crowd: Auction
    user: str
    port: int
    bids: dict[str, Bid] = field(default_factory=dict)
    falls: int = 0
    here: asyncio.Event = field(default_factory=asyncio.Event)
    connection: Connection | None = None

    async def stay(self) -> None:
        """In the room until cancelled; back in it after every fall, by any overlay that answers."""
        ports = [self.port, *(port for port in self.crowd.ports if port != self.port)]
        turn = 0
        while True:
            lost = asyncio.Event()
            try:
                self.connection = await self._enter(ports[turn % len(ports)], lost)
            except (OSError, TimeoutError, ConnectionError):
                turn += 1
                await asyncio.sleep(AGAIN_S * random.uniform(0.5, 1.5))
                continue
            for bid in [bid for bid in self.bids.values() if not bid.told]:
                self.connection.send(bid)
            self.here.set()
            await lost.wait()
            self.here.clear()
            self.falls += 1

    async def _enter(self, port: int, lost: asyncio.Event) -> Connection:
        async with asyncio.timeout(5):
            ticket = RoomTicket(self.crowd.show_id, self.user, None, "Bidder")
            token = await self.crowd.ticket(ticket)
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self.bids, self.crowd.prices, lost), "127.0.0.1", port
            )
            connection.hello(f"127.0.0.1:{port}", self.crowd.show_id, token)
            await connection.welcomed
            return connection

    async def bid(self, until_s: float) -> None:
        """Twice a second until a moment of the wall clock, answered or not; then wait for the answers."""
        await asyncio.sleep(random.uniform(0, EVERY_S))
        while time.time() < until_s:
            began = time.monotonic()
            bid = self._next()
            self.bids[bid.id] = bid
            if self.connection is not None and self.here.is_set():
                self.connection.send(bid)
            await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
        await self._answers()

    async def _answers(self) -> None:
        """What got "unavailable" or nothing at all is asked again."""
        for _ in range(int(PATIENCE_S)):
            open_bids = [bid for bid in self.bids.values() if not bid.told]
            if not open_bids:
                return
            await asyncio.sleep(1)
            for bid in open_bids:
                if not bid.told and self.connection is not None and self.here.is_set():
                    self.connection.send(bid)

    def _next(self) -> Bid:
        id = f"b{len(self.bids)}"
        now = time.time()
        saw = int((now - self.crowd.delay_s(self.user)) * 90_000) % 2**32
        command = {
            "type": "bid",
            "id": id,
            "auction_id": self.crowd.auction_id,
            "max_minor": self.crowd.offer_minor(now) + random.randrange(40),
            "media_time": saw,
        }
        return Bid(id, masked(_TEXT, msgspec.json.encode(command)), now)


@dataclass
class Auction:
    """What the parent said: where to go, who they are."""

    ports: list[int]
    redis_url: str
    show_id: str
    users: list[str]
    auction_id: str = ""
    at_s: float = 0.0
    prices: Prices = field(default_factory=lambda: Prices(1))
    redis: Redis | None = None

    async def ticket(self, ticket: RoomTicket) -> str:
        assert self.redis is not None
        try:
            return await Tickets(self.redis).issue(ticket)
        except Exception as error:  # the store is away: come again
            raise ConnectionError(str(error)) from error

    def offer_minor(self, now_s: float) -> int:
        return max(self.prices.next_minor, int((now_s - self.at_s) * RISE_MINOR_PER_S))

    def delay_s(self, user: str) -> float:
        """How old a picture is when this person sees it."""
        return 0.2 + (int(user[-4:], 16) % 600) / 1000


async def run(hear: Hear) -> None:
    crowd = Auction(**await hear())
    async with open_redis(crowd.redis_url) as crowd.redis:
        bidders = [
            Bidder(crowd, user, crowd.ports[n % len(crowd.ports)]) for n, user in enumerate(crowd.users)
        ]
        staying = []
        for start in range(0, len(bidders), ENTER_AT_ONCE):
            some = bidders[start : start + ENTER_AT_ONCE]
            staying += [asyncio.create_task(bidder.stay()) for bidder in some]
            await asyncio.gather(*(bidder.here.wait() for bidder in some))
        say({"entered": len(bidders)})
        go = await hear()
        crowd.auction_id, crowd.at_s = go["auction_id"], go["at_s"]
        crowd.prices.next_minor = go["next_minor"]
        await asyncio.sleep(crowd.at_s - time.time())
        away = asyncio.create_task(_away(bidders))
        work: list[Awaitable[None]] = [bidder.bid(go["until_s"]) for bidder in bidders]
        await asyncio.gather(*work)
        away.cancel()
        say({"told": [_line(bidder, bid) for bidder in bidders for bid in bidder.bids.values()]})
        again = sum(bid.again for bidder in bidders for bid in bidder.bids.values())
        say({"ups_and_downs": [sum(bidder.falls for bidder in bidders), again]})
        for task in staying:
            task.cancel()


def _line(bidder: Bidder, bid: Bid) -> tuple[str, str, float, float, str]:
    return bidder.user, bid.id, bid.sent_s, bid.answered_s, bid.told


async def _away(bidders: list[Bidder]) -> None:
    """Tell the parent whenever everybody is back, or somebody is gone."""
    full = True
    while True:
        now_full = all(bidder.here.is_set() for bidder in bidders)
        if now_full != full:
            full = now_full
            say({"all_here": full, "at_s": time.time()})
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    in_crowd(run)
