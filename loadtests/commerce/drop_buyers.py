"""Some thousand buyers in a process: enter the room, wait for the word, tap once, keep what they were told.

Bare websockets over asyncio, since this process shares the machine with what it measures. It speaks to its
parent in lines of JSON: on stdin what to do, on stdout how far it is and what came of it.
"""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import uuid_utils
from redis.asyncio import Redis

from loadtests.commerce.crowd import Hear, in_crowd, say
from overlay.log import open_redis
from server.tickets import RoomTicket, Tickets

ENTER_AT_ONCE = 100
ENTER_WITHIN_S, ANSWER_WITHIN_S = 20.0, 30.0
AGAIN_AFTER_S = 1.0
_NO_ANSWER = (b'"code":"unavailable"', b'"code":"busy"')
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame (RFC 6455 §5.2); its mask is zero, so that masking costs nothing."""
    size = len(payload)
    head = bytes((opcode, 0x80 | size)) if size < 126 else struct.pack("!BBH", opcode, 0x80 | 126, size)
    return head + b"\0\0\0\0" + payload


class Member(asyncio.Protocol):
    """One buyer's connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.welcomed: asyncio.Future[None] = loop.create_future()
        self.answered: asyncio.Future[bytes] = loop.create_future()
        self.tapped_at = self.answered_at = 0.0
        self.stock_frames, self.tries = 0, 1
        self._command = b""
        self._open = False
        self._data = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def hello(self, host: str, show_id: str, ticket: str) -> None:
        assert self._transport is not None
        hello = {"type": "hello", "protocol": 1, "show_id": show_id, "ticket": ticket}
        upgrade = (
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._transport.write(upgrade.encode() + masked(_TEXT, msgspec.json.encode(hello)))

    def tap(self, frame: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.tapped_at = time.monotonic()
            self._command = frame
            self._transport.write(frame)

    def _again(self) -> None:
        """As the page does: the same tap once more, since `unavailable` is no answer."""
        if self._transport is not None and not self._transport.is_closing():
            self.tries += 1
            self._transport.write(self._command)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open:
            head, found, rest = bytes(self._data).partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._lost(head.split(b"\r\n")[0].decode())
                return
            self._open, self._data = True, bytearray(rest)
        self._frames()

    def _frames(self) -> None:
        data = self._data
        at = 0
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size == 126:
                if len(data) - at < 4:
                    break
                size, begin = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                if len(data) - at < 10:
                    break
                size, begin = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < begin + size:
                break
            self._frame(data[at], data, begin, size)
            at = begin + size
        del data[:at]

    def _frame(self, opcode: int, data: bytearray, begin: int, size: int) -> None:
        if opcode == _PING and self._transport is not None:
            self._transport.write(masked(_PONG, bytes(data[begin : begin + size])))
        elif opcode == _CLOSE:
            self._lost(bytes(data[begin + 2 : begin + size]).decode(errors="replace"))
        elif opcode == _TEXT:
            head = data[begin : begin + 20]
            if head.startswith((b'{"type":"ack"', b'{"type":"refused"')) and not self.answered.done():
                self._told(bytes(data[begin : begin + size]))
            elif head.startswith(b'{"type":"welcome"') and not self.welcomed.done():
                self.welcomed.set_result(None)
            elif head.startswith(b'{"type":"events"'):
                self.stock_frames += data.find(b"stock_changed", begin, begin + size) >= 0

    def _told(self, answer: bytes) -> None:
        if any(code in answer for code in _NO_ANSWER):
            asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._again)
            return
        self.answered_at = time.monotonic()
        self.answered.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(f"connection lost: {error}")

    def _lost(self, why: str) -> None:
        for waiting in (self.welcomed, self.answered):
            if not waiting.done():
                waiting.set_exception(ConnectionError(why))
                waiting.exception()  # it may be that nobody waits for it


@dataclass(slots=True)
class Buyers:
    """What the parent said: where to go, who they are, what to buy."""

    host: str
    port: int
    redis_url: str
    show_id: str
    line: dict[str, Any]
    users: list[str]
    members: dict[str, Member] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)

    async def enter(self) -> None:
        async with open_redis(self.redis_url) as redis:
            for start in range(0, len(self.users), ENTER_AT_ONCE):
                some = self.users[start : start + ENTER_AT_ONCE]
                async with asyncio.timeout(ENTER_WITHIN_S):
                    tickets = await self._tickets(redis, some)
                    await asyncio.gather(*map(self._enter, some, tickets))

    async def _tickets(self, redis: Redis, users: list[str]) -> list[str]:
        """A room ticket for each, as the web role hands them out."""
        tickets = Tickets(redis)
        return await asyncio.gather(
            *(tickets.issue(RoomTicket(self.show_id, user, None, "Buyer")) for user in users)
        )

    async def _enter(self, user: str, ticket: str) -> None:
        _, member = await asyncio.get_running_loop().create_connection(Member, self.host, self.port)
        self.members[user] = member
        member.hello(f"{self.host}:{self.port}", self.show_id, ticket)
        await member.welcomed

    async def tap(self) -> list[tuple[str, str, str, float, float]]:
        """All at once; user, order id, what was told, when it was sent and answered (monotonic)."""
        self.orders = {user: str(uuid_utils.uuid7()) for user in self.members}
        frames = {user: masked(_TEXT, self._command(user)) for user in self.members}
        for user, member in self.members.items():
            member.tap(frames[user])
        await asyncio.wait([m.answered for m in self.members.values()], timeout=ANSWER_WITHIN_S)
        return [
            (user, self.orders[user], _told(member), member.tapped_at, member.answered_at)
            for user, member in self.members.items()
        ]

    def _command(self, user: str) -> bytes:
        command = {"type": "buy", "id": "tap-1", "order_id": self.orders[user], "lines": [self.line]}
        return msgspec.json.encode(command)


def _told(member: Member) -> str:
    """`charging` and such, `refused CODE`, or what went wrong."""
    if not member.answered.done():
        return "no answer"
    if (error := member.answered.exception()) is not None:
        return f"lost: {error}"
    answer = msgspec.json.decode(member.answered.result())
    return answer["order"]["state"] if answer["type"] == "ack" else f"refused {answer['code']}"


async def run(hear: Hear) -> None:
    crowd = Buyers(**await hear())
    await crowd.enter()
    say({"entered": len(crowd.members)})
    go = await hear()
    await asyncio.sleep(go["at"] - time.monotonic())
    say({"told": await crowd.tap()})
    await hear()  # the parent has seen enough
    members = crowd.members.values()
    say(
        {
            "seen": {
                "stock_frames": max(m.stock_frames for m in members),
                "again": sum(m.tries - 1 for m in members),
            }
        }
    )
    for member in members:
        member.close()


if __name__ == "__main__":
    in_crowd(run)
