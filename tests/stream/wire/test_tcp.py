"""Media over TCP: the same relay behind a framed stream."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import Counter

import pytest
import uvloop

from stream.node import Node, NodeSettings
from stream.wire import tcp
from stream.wire.sockets import open_media, open_tcp, open_udp
from stream.wire.tcp import IceTcp, reach


@pytest.fixture
def media():
    udp, listening = open_media("127.0.0.1", 0)
    with udp, listening:
        yield udp, listening


@pytest.fixture
def udp(media):
    return media[0]


@pytest.fixture
def port(udp):
    return udp.getsockname()[1]


@pytest.fixture
async def listening(media):
    ice_tcp = IceTcp(*media, Counter())
    await ice_tcp.start()
    yield ice_tcp
    ice_tcp.stop()
    assert len(ice_tcp) == 0


def framed(datagram):
    return len(datagram).to_bytes(2, "big") + datagram


async def heard(udp):
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recvfrom(udp, 4096)


async def read_frame(reader):
    async with asyncio.timeout(30):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def test_frames_become_datagrams_and_back_however_they_are_cut(listening, udp, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stream = framed(b"one") + framed(b"") + framed(b"x" * 1400)
    for at in range(0, len(stream), 5):
        writer.write(stream[at : at + 5])
    assert (await heard(udp))[0] == b"one"
    datagram, address = await heard(udp)
    assert datagram == b"x" * 1400
    udp.sendto(b"answer", address)
    assert await read_frame(reader) == b"answer"
    writer.close()
    await writer.wait_closed()


async def test_each_client_is_an_address_of_its_own_and_strangers_reach_none(listening, udp, port):
    first = await asyncio.open_connection("127.0.0.1", port)
    second = await asyncio.open_connection("127.0.0.1", port)
    addresses = []
    for _, writer in (first, second):
        writer.write(framed(b"hello"))
        addresses.append((await heard(udp))[1])
    assert addresses[0] != addresses[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"forged", addresses[0])
    udp.sendto(b"true", addresses[0])
    assert await read_frame(first[0]) == b"true"
    for _, writer in (first, second):
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_breaks_the_framing_is_cut_off(listening, udp, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\xff\xff")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_frame(reader)
    writer.close()
    assert len(listening) == 0


async def test_who_hears_nothing_from_the_node_is_let_go(listening, udp, port, monkeypatch):
    monkeypatch.setattr(tcp, "SILENT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_frame(reader)
    writer.close()


async def test_connections_are_bounded(listening, port, monkeypatch):
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_frame(reader)
    writer.close()


async def test_a_full_connection_drops_to_the_frames_end_and_never_control(listening, udp, port, monkeypatch):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(framed(b"hello"))
    await heard(udp)
    (connection,) = listening._connections
    full = [False]
    monkeypatch.setattr(
        connection._stream, "get_write_buffer_size", lambda: tcp.BUFFER_BYTES + full[0], raising=False
    )

    def packet(timestamp, place):
        return b"\x80\x60\0\0" + timestamp.to_bytes(4, "big") + b"ssrc" + bytes((place,))

    connection._to_client(packet(1, 0))
    full[0] = True
    connection._to_client(packet(1, 1))
    full[0] = False
    connection._to_client(packet(1, 2))  # the rest of a broken frame is of no use
    connection._to_client(packet(2, 0))
    full[0] = True
    for control in (b"\x80\xc8" + bytes(20), b"\x16" + bytes(20), b"\x01" + bytes(20)):
        connection._to_client(control)
    assert [await read_frame(reader) for _ in range(5)] == [
        packet(1, 0),
        packet(2, 0),
        b"\x80\xc8" + bytes(20),
        b"\x16" + bytes(20),
        b"\x01" + bytes(20),
    ]
    assert listening._drops == {"tcp_full": 2}
    writer.close()


async def test_who_asks_and_never_reads_is_cut_off(listening, udp, port, monkeypatch):
    """Answers to checks find room in a full connection, but not without end."""
    monkeypatch.setattr(tcp, "BUFFER_BYTES", 1000)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(framed(b"hello"))
    await heard(udp)
    (connection,) = listening._connections
    held = [0]
    monkeypatch.setattr(connection._stream, "get_write_buffer_size", lambda: held[0], raising=False)
    monkeypatch.setattr(connection._stream, "write", lambda data: held.append(held.pop() + len(data)))
    answers = 0
    while len(listening) and answers < 1000:
        connection._to_client(b"\x01\x01" + bytes(98))
        answers += 1
    assert answers == 21
    assert listening._drops == {"tcp_stuck": 1}
    writer.close()


async def test_where_the_port_is_taken_a_node_runs_on_udp_alone(admission, observer, caplog, free_ports):
    port = free_ports(1)
    with open_tcp("127.0.0.1", port):
        node = Node(NodeSettings(udp_port=port), admission, observer)
        await node.start()
        assert not node.takes_tcp
        assert not any(" tcp " in line for line in node.sessions.candidate_lines())
        await node.stop()
    assert "no media over TCP" in caplog.text


@pytest.mark.usefixtures("ipv6_loopback")
async def test_both_address_families_on_one_port(admission, observer):
    node = Node(NodeSettings(udp_host="::", announced=(("127.0.0.1", 0),)), admission, observer)
    await node.start()
    for host in ("127.0.0.1", "::1"):
        _, writer = await asyncio.open_connection(host, node.udp_port)
        writer.close()
    await node.stop()


def test_roles_run_on_uvloop_whose_transports_are_classes_of_their_own():
    async def through():
        udp, sock = open_media("127.0.0.1", 0)
        with udp, sock:
            listening = IceTcp(udp, sock, Counter())
            await listening.start()
            with open_udp("127.0.0.1", 0) as far:
                way = await reach(far, *udp.getsockname())
                far.sendto(b"check", way.address)
                datagram, address = await readable(udp)
                udp.sendto(b"answer", address)
                answer, _ = await readable(far)
                way.end()
            listening.stop()
            with pytest.raises(ConnectionAbortedError):
                _ = way.address
            return datagram, answer

    async def readable(sock):
        async with asyncio.timeout(30):
            while not select.select([sock], [], [], 0)[0]:  # uvloop has no sock_recvfrom
                await asyncio.sleep(0.01)
        return sock.recvfrom(4096)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(through()) == (b"check", b"answer")
