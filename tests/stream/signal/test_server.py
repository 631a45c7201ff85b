"""Who connects and says nothing, or next to nothing, doesn't keep others out."""

import asyncio

import httpx
import pytest

from stream.signal import server


async def closed_by_server(reader, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize("said", [b"", b"G", b"POST /whip HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_silent_client_is_hung_up_on(node, monkeypatch, said):
    monkeypatch.setattr(server, "HEADERS_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.http_port)
    writer.write(said)
    assert await closed_by_server(reader)
    writer.close()


async def test_one_that_stops_in_its_second_request_too(node, monkeypatch):
    reader, writer = await asyncio.open_connection("127.0.0.1", node.http_port)
    writer.write(b"OPTIONS /whip HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
    monkeypatch.setattr(server, "HEADERS_S", 0.5)
    writer.write(b"OPTIONS /wh")
    assert await closed_by_server(reader)
    writer.close()


async def test_one_that_rests_between_requests_or_listens_is_left_alone(node, monkeypatch, light, camera):
    publisher = await light().join("publish.show.key")
    camera(publisher).frame(key=True)
    viewer = await light().join("view.show")
    monkeypatch.setattr(server, "HEADERS_S", 1.5)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
        await http.options("/whip")
        async with http.stream("GET", f"{viewer.location}/sse") as events:
            lines = events.aiter_lines()
            assert await anext(lines)
            await asyncio.sleep(3.2)
            assert len(node.sessions.events) == 1
        assert (await http.options("/whip")).status_code == 200
