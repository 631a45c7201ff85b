"""What an edge reads from its origin's answer."""

from __future__ import annotations

import pytest

from stream.edge.description import read_answer, write_offer
from stream.signal.answer import Local, Outgoing, read_viewer_offer, write_answer
from stream.signal.errors import SdpError
from stream.wire.ice import Credentials

FINGERPRINT = ("sha-256", "AA:" * 31 + "AA")


def answer(candidates, *, takes_tcp=True):
    offer = read_viewer_offer(write_offer(Credentials("edge", "p" * 22), FINGERPRINT, audio=False))
    local = Local(Credentials("origin", "q" * 22), FINGERPRINT, candidates, takes_tcp)
    return write_answer(offer, local, session="0f", outgoing={"video": Outgoing(1, 2, "stream", "name")})


def test_where_the_origin_is_over_udp_and_over_tcp():
    found = read_answer(answer([("192.0.2.1", 7000), ("2001:db8::1", 7001)]))
    assert found.candidates == [("192.0.2.1", 7000), ("2001:db8::1", 7001)]
    assert found.tcp_candidates == found.candidates
    assert (found.credentials, found.cname) == (Credentials("origin", "q" * 22), "name")
    assert not read_answer(answer([("192.0.2.1", 7000)], takes_tcp=False)).tcp_candidates


@pytest.mark.parametrize("port", ["0", "65536", "9" * 400, "0000070001", "-1", "²", "x"])
def test_a_candidate_without_a_port_is_none(port):
    text = answer([("192.0.2.1", 7000), ("192.0.2.2", 7001)])
    assert read_answer(text.replace(" 7000 typ", f" {port} typ")).candidates == [("192.0.2.2", 7001)]
    with pytest.raises(SdpError):
        read_answer(text.replace(" 7000 typ", f" {port} typ").replace(" 7001 typ", f" {port} typ"))
