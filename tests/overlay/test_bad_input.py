"""Whatever a client sends, it gets a clear answer or a clear close, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from overlay.gateway import CannotListen
from overlay.session import BadCommand, parse

HELLO = '{"type":"hello","protocol":1,"show_id":"show-1"}'


async def closing(house: Any, overlay: Any, *messages: str | bytes) -> tuple[int | None, str | None]:
    connection = await house.connect(overlay)
    for message in messages:
        await connection.send(message)
    async with asyncio.timeout(30):
        await connection.wait_closed()
    return connection.close_code, connection.close_reason


@pytest.mark.parametrize(
    ("first", "code", "says"),
    [
        ("nonsense", 4400, "JSON"),
        ("{}", 4400, "type"),
        (b"\x00\x01", 4400, "text"),
        ('{"type":"say","id":"a","text":"hi"}', 4400, "hello"),
        ('{"type":"hello","protocol":1,"show_id":""}', 4400, "show_id"),
        (
            '{"type":"hello","protocol":1,"show_id":"show-1","resume":{"epoch":"e","number":-1}}',
            4400,
            "resume",
        ),
        ('{"type":"hello","protocol":2,"show_id":"show-1"}', 4406, "version 1"),
        ('{"type":"hello","protocol":1,"show_id":"elsewhere"}', 4404, "no_such_show"),
        ('{"type":"hello","protocol":1,"show_id":"show-1","ticket":"forged"}', 4401, "bad_ticket"),
    ],
)
async def test_a_bad_hello_is_turned_away(house: Any, first: str | bytes, code: int, says: str) -> None:
    closed, reason = await closing(house, await house.overlay(), first)
    assert closed == code
    assert says in (reason or "")


async def test_silence_is_turned_away(house: Any) -> None:
    assert (await closing(house, await house.overlay(hello_s=0.1)))[0] == 4400


async def test_a_huge_message_closes_1009_and_bad_utf8_closes_1007(house: Any) -> None:
    overlay = await house.overlay()
    assert (await closing(house, overlay, HELLO, "x" * 10_000_000))[0] == 1009
    connection = await house.connect(overlay)
    await connection.send(HELLO)
    await connection.send(b"\xff\xfe", text=True)
    async with asyncio.timeout(30):
        await connection.wait_closed()
    assert connection.close_code == 1007


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("[]", "object"),
        ('{"type":"say"', "JSON"),
        ('{"type":"steal_stock","id":"x"}', "steal_stock"),
        ('{"type":"say","id":"x"}', "text"),
        ('{"type":"say","id":"x","text":"' + "a" * 301 + '"}', "300"),
        ('{"type":"say","id":"x","text":"hi","badge":"owner"}', "badge"),
        ('{"type":"react","id":"x","kind":"bomb"}', "bomb"),
        ('{"type":"react","id":"x","kind":"heart","count":-1}', "count"),
        ('{"type":"set_stock","id":"x","variant_id":"v","available":-1}', "available"),
        ('{"type":"buy","id":"x","order_id":"o","lines":[]}', "order_id"),
        (
            '{"type":"buy","id":"x","order_id":"' + "a" * 36 + '",'
            '"lines":[{"variant_id":"v","quantity":-2,"unit_price_minor":1}]}',
            "quantity",
        ),
        (
            '{"type":"buy","id":"x","order_id":"' + "a" * 36 + '",'
            '"lines":[{"variant_id":"v","quantity":1,"unit_price_minor":-500}]}',
            "unit_price_minor",
        ),
        (HELLO, "hello"),
    ],
)
async def test_a_bad_command_is_refused_and_the_connection_stays(house: Any, frame: str, says: str) -> None:
    ann = await house.join(await house.overlay(), "ann")
    await ann.connection.send(frame)
    refused = await ann.until(lambda: next(iter(ann.answers.values()), None))
    assert refused.code == "bad_command"
    assert says in refused.reason
    assert refused.id == ("x" if '"id":"x"' in frame else None)
    await ann.acked("say", text="still here")


async def test_binary_frames_are_refused(house: Any) -> None:
    ann = await house.join(await house.overlay(), "ann")
    await ann.connection.send(b"\x00")
    assert (await ann.until(lambda: ann.answers.get(None))).code == "bad_command"


async def test_only_so_many_bad_commands(house: Any) -> None:
    overlay = await house.overlay()
    ann, ben = await house.join(overlay, "ann"), await house.join(overlay, "ben")
    for _ in range(100):
        try:
            await ann.connection.send("nonsense")
        except Exception:
            break
    assert await ann.close_code() == 4429
    await ben.acked("say", text="calm")


async def test_an_empty_comment_is_refused(house: Any) -> None:
    ann = await house.join(await house.overlay(), "ann")
    assert (await ann.refused("say", text=" \n\u202e")).code == "bad_command"


async def test_a_foreign_origin_is_refused(house: Any) -> None:
    overlay = await house.overlay()
    for origin in ("https://evil.example", "null", "https://shop.example.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            await house.connect(overlay, origin=origin)
        assert refused.value.response.status_code == 403
    ours = await house.connect(overlay, origin="https://shop.example")
    await ours.close()


async def test_a_full_process_says_when_to_try_again(house: Any) -> None:
    overlay = await house.overlay(max_connections=1)
    await house.join(overlay)
    with pytest.raises(InvalidStatus) as refused:
        await house.connect(overlay)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "5"


async def test_garbage_instead_of_http_disturbs_nobody(house: Any) -> None:
    overlay = await house.overlay()
    ann = await house.join(overlay, "ann")
    reader, writer = await asyncio.open_connection("127.0.0.1", overlay.port)
    writer.write(b"\x16\x03\x01 garbage\r\n\r\n" * 10)
    await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await ann.acked("say", text="undisturbed")


async def test_a_port_in_use_is_named(house: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(CannotListen) as failed:
            await house.overlay(port=taken.getsockname()[1])
    assert failed.value.code == "port_in_use"
    with pytest.raises(CannotListen) as failed:
        await house.overlay(host="203.0.113.1")
    assert failed.value.code == "bad_address"


@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(json.dumps)
)
def test_any_text_is_a_command_or_a_bad_one(text: str) -> None:
    with pytest.raises(BadCommand):
        parse(text)


@given(st.binary())
def test_any_bytes_are_a_bad_command(data: bytes) -> None:
    with pytest.raises(BadCommand):
        parse(data)
