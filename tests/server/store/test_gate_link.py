"""The gate's own connection: order, bounds, silence, loss and return."""

from __future__ import annotations

import asyncio
import select
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from overlay.log import open_redis
from server.store.gate_link import Address, GateLink, LinkDown, LinkFull, ReplyError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one, wherever tests keep their files: a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="hk-", dir="/tmp") as directory:
        yield Path(directory)


@asynccontextmanager
async def server(path: Path, serve: Serve) -> AsyncIterator[Address]:
    """A server that does as the test says."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    listening = await asyncio.start_unix_server(accept, path)
    try:
        yield Address(path=str(path))
    finally:
        listening.close()
        for writer in writers:
            writer.close()
        await listening.wait_closed()


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():  # *1, $n, the word
        await reader.readline()
        word = await reader.readline()
        writer.write(b"+" + word)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def linked(address: Address, **more: float | int) -> AsyncIterator[GateLink]:
    link = GateLink(address, **more)  # type: ignore[arg-type]
    try:
        yield link
    finally:
        await link.close()


async def test_many_at_once_get_each_its_own(redis_url: str) -> None:
    async with open_redis(redis_url) as redis, linked(Address.of(redis)) as link:
        told = await asyncio.gather(*(link.call("ECHO", f"{n}") for n in range(3_000)))
    assert told == [f"{n}".encode() for n in range(3_000)]


async def test_it_speaks_to_the_clients_database(redis_url: str) -> None:
    async with open_redis(redis_url.replace("db=0", "db=5")) as redis, linked(Address.of(redis)) as link:
        await link.call("SET", "k", 7)
        assert await redis.get("k") == b"7"
        await redis.flushdb()


async def test_an_error_reply_is_its_callers_alone(redis_url: str) -> None:
    async with open_redis(redis_url) as redis, linked(Address.of(redis)) as link:
        calls: list[Any] = [link.call("FCALL", "nothing", 0), link.call("PING")]
        bad, good = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(bad, ReplyError)
    assert "Function not found" in str(bad)
    assert good == b"PONG"


async def test_a_silent_server_is_given_up_and_the_next_call_connects_again(tmp_path: Path) -> None:
    async with server(tmp_path / "a", silence) as address, linked(address, deadline_s=0.05) as link:
        told = await asyncio.gather(*(link.call("PING") for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in told] == [LinkDown] * 3
    async with server(tmp_path / "b", answers) as address:
        link._address, link._deadline_s = address, 30
        assert await link.call("PONG") == b"PONG"
        await link.close()


async def test_a_late_loop_is_no_silence(redis_url: str) -> None:
    async with open_redis(redis_url) as redis, linked(Address.of(redis)) as link:
        await link.call("PING")
        wire = link._wire
        assert wire is not None
        assert wire._transport is not None
        wire._deadline_s = 0.1
        waiting = asyncio.ensure_future(link.call("PING"))
        for _ in range(3):  # it is sent; then nobody reads for a while
            await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - that is the point
        assert select.select([wire._transport.get_extra_info("socket").fileno()], [], [], 30)[0]
        assert await waiting == b"PONG"


async def test_a_lost_connection_is_told_and_made_again(tmp_path: Path) -> None:
    calls = 0

    async def once_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"PING\r\n")
        if calls > 1:
            writer.write(b"+PONG\r\n")
        writer.close()

    async with server(tmp_path / "s", once_each) as address, linked(address) as link:
        with pytest.raises(LinkDown):
            await link.call("PING")
        assert await link.call("PING") == b"PONG"


async def test_nobody_there(tmp_path: Path) -> None:
    async with linked(Address(path=str(tmp_path / "none"))) as link:
        told = await asyncio.gather(link.call("PING"), link.call("PING"), return_exceptions=True)
    assert [type(answer) for answer in told] == [LinkDown, LinkDown]


async def test_no_more_wait_than_may(tmp_path: Path) -> None:
    async with server(tmp_path / "s", silence) as address:
        async with linked(address, deadline_s=0.2, max_waiting=2) as link:
            waiting = [asyncio.ensure_future(link.call("PING")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(LinkFull):
                await link.call("PING")
            assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [LinkDown] * 2


async def test_one_who_stops_waiting_shifts_nobodys_answer(redis_url: str) -> None:
    async with open_redis(redis_url) as redis, linked(Address.of(redis)) as link:
        await link.call("PING")
        gone = asyncio.ensure_future(link.call("ECHO", "gone"))
        stays = asyncio.ensure_future(link.call("ECHO", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == b"stays"


async def test_words_that_are_no_protocol_end_the_connection(tmp_path: Path) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with server(tmp_path / "s", nonsense) as address, linked(address) as link:
        with pytest.raises(LinkDown):
            await link.call("PING")


def test_where_a_client_goes() -> None:
    tls = Address.of(open_redis("rediss://ada:pw@cache.example:6390/3"))
    assert (tls.host, tls.port, tls.username, tls.password, tls.database) == (
        "cache.example", 6390, "ada", "pw", 3,
    )  # fmt: skip
    assert tls.tls is not None
    assert "pw" not in repr(tls)
    assert Address.of(open_redis("unix:///run/valkey.sock?db=0")).path == "/run/valkey.sock"
