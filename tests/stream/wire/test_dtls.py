import itertools

import pytest

from stream.wire.dtls import MTU_BYTES, Dtls, DtlsContext, DtlsState

SERVER, CLIENT = DtlsContext(), DtlsContext()


def pair(*, server_expects=CLIENT.fingerprint, client_expects=SERVER.fingerprint):
    return (
        Dtls(SERVER, is_client=False, fingerprints=[server_expects]),
        Dtls(CLIENT, is_client=True, fingerprints=[client_expects]),
    )


def shake_hands(server, client, *, lose=lambda datagram: False):
    to_server, to_client = client.start(), []
    for _ in range(20):
        to_client = [out for datagram in to_server if not lose(datagram) for out in server.receive(datagram)]
        to_server = [out for datagram in to_client if not lose(datagram) for out in client.receive(datagram)]
        assert all(len(datagram) <= MTU_BYTES for datagram in to_client + to_server)
        if not to_client and not to_server:
            return


def test_both_sides_export_the_same_keys_and_prefer_gcm():
    server, client = pair()
    shake_hands(server, client)
    assert server.state is client.state is DtlsState.CONNECTED
    assert server.outbound == client.inbound
    assert server.inbound == client.outbound
    assert server.outbound.profile == "AEAD_AES_128_GCM"
    assert server.timeout_s() is None


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_certificate_that_the_description_does_not_vouch_for_ends_it(side):
    server, client = pair(**{f"{side}_expects": ("sha-256", "00:11")})
    shake_hands(server, client)
    failed = server if side == "server" else client
    assert (failed.state, failed.failure) == (DtlsState.CLOSED, "fingerprint_mismatch")
    assert failed.outbound is None


def test_an_unknown_digest_vouches_for_nothing():
    server, client = pair(server_expects=("md5", "00"))
    shake_hands(server, client)
    assert server.failure == "fingerprint_mismatch"


def test_goodbye_is_understood():
    server, client = pair()
    shake_hands(server, client)
    for datagram in client.close():
        server.receive(datagram)
    assert (server.state, server.failure) == (DtlsState.CLOSED, "dtls_closed")
    assert server.receive(b"\x16\xfe\xfd" + bytes(20)) == []
    assert server.close() == []


def test_a_lost_flight_can_be_asked_for_again():
    _, client = pair()
    client.start()
    assert client.timeout_s() is not None


def test_garbage_neither_ends_nor_begins_anything():
    server, client = pair()
    for first, length in itertools.product((20, 21, 22, 23, 63), (1, 5, 13, 60, 1400)):
        server.receive(bytes((first,)) * length)
    assert server.state is DtlsState.HANDSHAKE
    shake_hands(server, client)
    assert server.state is DtlsState.CONNECTED
    for first, length in itertools.product((20, 21, 22, 23, 63), (1, 5, 13, 60, 1400)):
        server.receive(bytes((first,)) * length)
    assert server.state is DtlsState.CONNECTED
