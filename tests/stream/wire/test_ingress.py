"""Which peer an address belongs to, and that nothing is left of it afterwards."""

from __future__ import annotations

import socket

import pytest
from aioice import stun

from stream.wire.ice import Credentials, IceLite
from stream.wire.ingress import _OWNED_S, Ingress

HOME = ("192.0.2.7", 5000)


class Clock:
    def time(self) -> float:
        return 0.0


class Peer:
    """As much of a peer as the port's routing asks of one."""

    def __init__(self) -> None:
        self.local = Credentials.random()
        self.ice = IceLite(self.local, 0.0)
        self.close_reason = ""

    def check(self, binding, address, now):
        return self.ice.check(binding, address, now) is not None

    def request(self, *, password: str = "", role: str = "ICE-CONTROLLING") -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.local.ufrag}:far"
        message.attributes["PRIORITY"] = 1
        message.attributes[role] = 7
        message.add_message_integrity((password or self.local.password).encode())
        return bytes(message)


@pytest.fixture
def ingress():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield Ingress(sock, Clock())


def two(ingress):
    peers = Peer(), Peer()
    for peer in peers:
        ingress.add(peer, peer.local)
    return peers


def test_an_address_whose_owner_is_silent_is_taken_over_only_by_who_proves_himself(ingress):
    first, second = two(ingress)
    ingress._route(first.request(), HOME, 0.0)
    later = _OWNED_S + 1
    ingress._route(second.request(password="guessed-guessed-guessed"), HOME, later)
    assert ingress._by_address == {HOME: first}
    assert HOME in first.ice.addresses
    ingress._route(second.request(), HOME, later)
    assert ingress._by_address == {HOME: second}
    assert HOME not in first.ice.addresses


def test_nothing_is_left_of_peers_that_have_gone_whoever_asked_for_their_address(ingress):
    first, second = two(ingress)
    ingress._route(first.request(), HOME, 0.0)
    ingress._route(second.request(password="guessed-guessed-guessed"), HOME, _OWNED_S + 1)
    ingress._route(second.request(role="ICE-CONTROLLED"), ("192.0.2.8", 6000), _OWNED_S + 2)
    for peer in (first, second):
        ingress.remove(peer)
    assert ingress._by_address == {}
    assert ingress._by_ufrag == {}
