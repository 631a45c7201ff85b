"""The light far end, as a server with full ICE sees it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import stun

from loadtests.relay.peer import Identity, Peer
from loadtests.relay.signalling import Answer, Ice


@pytest.fixture
async def server() -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
async def peer(server: socket.socket) -> AsyncIterator[Peer]:
    """Told of an address of the other family first, that nobody has."""
    candidates = [("2001:db8::1", 9), server.getsockname()]
    made = Peer(Identity())
    made.start(Answer(Ice("them", "their password"), "sha256", "", False, candidates, {}, {}))
    yield made
    made.close()


async def receive(server: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(30):
        datagram, source = await asyncio.get_running_loop().sock_recvfrom(server, 2048)
    return datagram, source


async def test_its_checks_are_those_of_rfc_8445(server: socket.socket, peer: Peer) -> None:
    datagram, _ = await receive(server)
    check = stun.parse_message(datagram)
    assert check.check_message_integrity(b"their password")
    assert check.attributes["USERNAME"] == f"them:{peer.ice.ufrag}"
    assert {"PRIORITY", "ICE-CONTROLLING", "USE-CANDIDATE", "FINGERPRINT"} <= check.attributes.keys()


async def test_it_answers_the_checks_of_full_ice(server: socket.socket, peer: Peer) -> None:
    _, source = await receive(server)
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    check.attributes["USERNAME"] = f"{peer.ice.ufrag}:them"
    check.add_message_integrity(peer.ice.password.encode())
    server.sendto(bytes(check), source)
    answer = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    while answer.message_class == stun.Class.REQUEST:  # its own checks go on
        answer = stun.parse_message((await receive(server))[0])
    assert answer.transaction_id == check.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == server.getsockname()
    assert "FINGERPRINT" in answer.attributes


async def test_what_the_kernel_drops_unread_is_counted(server: socket.socket, peer: Peer) -> None:
    _, source = await receive(server)
    assert peer.overflowed == 0
    peer.stop_reading()
    for _ in range(100):
        server.sendto(b"\x80" + bytes(1199), source)
    assert 0 < peer.overflowed <= 100
