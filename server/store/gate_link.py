"""One connection to Valkey for the gate's calls: what is asked in one turn of the loop leaves in one write.

redis-py spends more on a call than Valkey does on the rule it carries; a drop's crowd is answered by the gate
alone, so that is what bounds it. This speaks RESP through hiredis and a transport, nothing in between.

A call is never sent twice: where the connection is lost, whether it was carried out is not known, and its
caller is told so. At most `max_waiting` calls wait, the next is refused. A server that is silent for
`deadline_s` is given up, and all who wait on it with it. The next call connects again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import hiredis
from redis.asyncio import Redis, SSLConnection, UnixDomainSocketConnection

WATCH_EVERY_S = 0.25
Word = str | bytes | int


class LinkDown(Exception):
    """No answer: the call was carried out or not."""


class LinkFull(Exception):
    """Too many calls wait; this one was not sent."""


class ReplyError(Exception):
    """The server answered with an error."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is: a unix socket's `path`, else `host` and `port`; what it wants to hear first."""

    path: str | None = None
    host: str = "localhost"
    port: int = 6379
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    @classmethod
    def of(cls, redis: Redis) -> Address:
        """Where a client's own connections go."""
        pool = redis.connection_pool
        known: dict[str, Any] = pool.connection_kwargs
        kept = {name: known[name] for name in ("username", "password") if known.get(name)}
        if issubclass(pool.connection_class, UnixDomainSocketConnection):
            return cls(path=known["path"], database=known.get("db") or 0, **kept)
        return cls(
            host=known.get("host") or "localhost",
            port=known.get("port") or 6379,
            tls=_tls(known) if issubclass(pool.connection_class, SSLConnection) else None,
            database=known.get("db") or 0,
            **kept,
        )

    def greeting(self) -> list[bytes]:
        """The commands before the first call."""
        commands: list[bytes] = []
        if self.password:
            commands.append(_packed("AUTH", *filter(None, (self.username, self.password))))
        if self.database:
            commands.append(_packed("SELECT", self.database))
        return commands


def _packed(*words: Word) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub knows tuples of one
    return packed


def _tls(known: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=known.get("ssl_ca_certs"))
    if known.get("ssl_certfile"):
        context.load_cert_chain(known["ssl_certfile"], known.get("ssl_keyfile"))
    return context


class GateLink:
    """`call` from any number of tasks of one loop; `close` at the end."""

    def __init__(self, address: Address, *, deadline_s: float = 2.0, max_waiting: int = 20_000) -> None:
        self._address, self._deadline_s, self._max_waiting = address, deadline_s, max_waiting
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None
        self._asking = 0

    async def call(self, *words: Word) -> Any:
        """The server's reply: bytes, int, list or None. Raises LinkDown, LinkFull, ReplyError."""
        if self._asking >= self._max_waiting:
            raise LinkFull
        self._asking += 1
        try:
            wire = self._wire
            if wire is None or wire.lost:
                wire = await self._connected()
            reply = await wire.ask(_packed(*words))
        finally:
            self._asking -= 1
        if isinstance(reply, Exception):
            raise ReplyError(str(reply))
        return reply

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None:
            self._wire.give_up("closed")

    async def _connected(self) -> _Wire:
        """One attempt for all who ask at the same time."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> _Wire:
        loop, address = asyncio.get_running_loop(), self._address
        wire = _Wire(self._deadline_s)
        try:
            async with asyncio.timeout(self._deadline_s):
                if address.path is not None:
                    await loop.create_unix_connection(lambda: wire, address.path)
                else:
                    await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
                for command in address.greeting():
                    if isinstance(refused := await wire.ask(command), Exception):
                        raise LinkDown(str(refused))
        except (OSError, TimeoutError) as error:
            wire.give_up("not connected")
            raise LinkDown(f"{type(error).__name__}: {error}") from error
        except BaseException:
            wire.give_up("not connected")
            raise
        self._wire = wire
        return wire


class _Wire(asyncio.Protocol):
    """One connection: replies come in the order of the calls."""

    def __init__(self, deadline_s: float) -> None:
        self.lost = False
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None
        self._full = False
        self._heard_s = self._loop.time()
        self._silent = False
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """The reply, an error reply as an exception object; LinkDown is raised."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.lost:
            reply.set_exception(LinkDown("the connection is lost"))
            return reply
        if not self._unsent and not self._full:
            self._loop.call_soon(self._send)
        self._unsent.append(command)
        self._waiting.append((self._loop.time(), reply))
        if self._watch is None:
            self._watch = self._loop.call_later(WATCH_EVERY_S, self._look)
        return reply

    def give_up(self, why: str) -> None:
        """Whoever waits is told that there is no answer."""
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            _, reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(LinkDown(why))
        self._unsent.clear()

    def _send(self) -> None:
        if self._transport is not None and self._unsent and not self._full:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _look(self) -> None:
        """Give a silent server up at the second look: a late loop may not have read what is there yet."""
        self._watch = None
        if self._waiting:
            silent_s = self._loop.time() - max(self._waiting[0][0], self._heard_s)
            if silent_s > self._deadline_s and self._silent:
                self.give_up("no answer in time")
                return
            self._silent = silent_s > self._deadline_s
            self._watch = self._loop.call_later(0 if self._silent else WATCH_EVERY_S, self._look)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:  # False: not whole yet; RESP2 has no booleans
                _, reply = self._waiting.popleft()
                if not reply.done():
                    reply.set_result(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.give_up(f"the server makes no sense: {error!r}")

    def connection_lost(self, error: Exception | None) -> None:
        self.give_up(f"connection lost: {error}" if error else "connection lost")

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._send()
