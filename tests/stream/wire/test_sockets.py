"""A node's ports: had at once or refused with a name."""

from __future__ import annotations

import socket

import pytest

from stream.wire import sockets
from stream.wire.sockets import TcpPortUnavailableError, open_media, open_tcp, open_udp


def test_of_two_that_want_one_tcp_port_the_later_hears_of_it_at_once():
    with open_tcp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(TcpPortUnavailableError, match=f"TCP port {port} on 127.0.0.1: another program"):
            open_tcp("127.0.0.1", port)


def test_a_tcp_port_is_had_again_as_soon_as_its_program_is_gone(free_ports):
    with open_tcp("127.0.0.1", free_ports(1)) as first:
        address = first.getsockname()
        client = socket.create_connection(address)
        served, _ = first.accept()
    served.close()  # first to close: the kernel remembers this connection for a minute
    client.close()
    open_tcp(*address).close()


def test_the_systems_choice_is_free_for_udp_and_tcp(monkeypatch, free_ports):
    number = free_ports(2)
    with open_tcp("127.0.0.1", number):
        offered = iter((open_udp("127.0.0.1", number), open_udp("127.0.0.1", number + 1)))
        monkeypatch.setattr(sockets, "open_udp", lambda *_: next(offered))
        udp, tcp = open_media("127.0.0.1", 0)
    assert tcp is not None
    with udp, tcp:
        assert udp.getsockname() == tcp.getsockname() == ("127.0.0.1", number + 1)


def test_where_tcp_is_taken_the_chosen_number_stays_for_udp(caplog, free_ports):
    port = free_ports(1)
    with open_tcp("127.0.0.1", port):
        udp, tcp = open_media("127.0.0.1", port)
        with udp:
            assert udp.getsockname()[1] == port
    assert tcp is None
    assert "no media over TCP" in caplog.text


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(TcpPortUnavailableError, match=r"192\.0\.2\.1"):
        open_tcp("192.0.2.1", 0)
