from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.ice import (
    CONSENT_S,
    MAX_ADDRESSES,
    SETTLED_S,
    Credentials,
    IceLite,
    parse_binding,
    plain_host,
)

OWN = Credentials("ours", "password-of-ours-123456")
HOME, AWAY = ("10.0.0.1", 5000), ("10.9.9.9", 6000)


def request(*, nominate=False, password=OWN.password, ufrag=OWN.ufrag, role="ICE-CONTROLLING"):
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:theirs"
    message.attributes[role] = 9
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return parse_binding(bytes(message))


def test_a_check_is_answered_with_where_it_came_from():
    ice = IceLite(OWN, 0)
    binding = request()
    assert (binding.ufrag, binding.remote_ufrag) == ("ours", "theirs")
    answer = stun.parse_message(ice.check(binding, HOME, 1))
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == HOME
    assert answer.check_message_integrity(OWN.password.encode())
    assert ice.selected == HOME


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_answer_is_byte_for_byte_what_aioice_would_write(host, port):
    binding = request()
    expected = stun.Message(
        stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=binding.message.transaction_id
    )
    expected.attributes["XOR-MAPPED-ADDRESS"] = (plain_host(str(host)), port)
    expected.add_message_integrity(OWN.password.encode())
    assert IceLite(OWN, 0).check(binding, (str(host), port), 1) == bytes(expected)


def test_a_wrong_password_or_ufrag_proves_nothing():
    ice = IceLite(OWN, 0)
    assert ice.check(request(password="another"), HOME, 1) is None
    assert ice.check(request(ufrag="other"), HOME, 1) is None
    assert ice.selected is None
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    unsigned.attributes["USERNAME"] = "ours:theirs"
    assert ice.check(parse_binding(bytes(unsigned)), HOME, 1) is None


def test_a_client_that_claims_our_role_is_told():
    ice = IceLite(OWN, 0)
    answer = stun.parse_message(ice.check(request(role="ICE-CONTROLLED"), HOME, 1))
    assert answer.error_code == 487
    assert ice.selected is None


def test_a_nominated_address_takes_over_at_once_and_another_when_the_old_is_silent():
    ice = IceLite(OWN, 0)
    ice.check(request(), HOME, 1)
    ice.check(request(), AWAY, 1.1)
    assert ice.selected == HOME
    ice.check(request(nominate=True), AWAY, 1.2)
    assert ice.selected == AWAY
    ice.heard(HOME, 1.3)
    assert ice.selected == AWAY
    ice.heard(HOME, 1.3 + SETTLED_S)
    assert ice.selected == HOME


def test_consent_is_lost_with_silence_and_kept_by_anything_authentic():
    ice = IceLite(OWN, 0)
    ice.check(request(), HOME, 1)
    assert not ice.is_lost(CONSENT_S)
    ice.heard(HOME, 20)
    assert not ice.is_lost(20 + CONSENT_S)
    assert ice.is_lost(20.1 + CONSENT_S)


def test_restarts_that_come_to_nothing_leave_the_credentials_in_use():
    ice, unused, used = IceLite(OWN, 0), Credentials("new1", "b" * 24), Credentials("new2", "c" * 24)
    ice.check(request(), HOME, 1)
    ice.restart(unused)
    ice.restart(used)
    assert ice.check(request(), HOME, 2) is not None
    assert ice.check(request(ufrag="new1", password=unused.password), HOME, 2) is None
    assert ice.check(request(ufrag="new2", password=used.password), HOME, 2) is not None
    assert ice.generations == [used]


def test_addresses_are_bounded():
    ice = IceLite(OWN, 0)
    for port in range(MAX_ADDRESSES + 3):
        ice.check(request(), ("10.0.0.1", 1 + port), port / 100)
    assert len(ice.addresses) == MAX_ADDRESSES
    assert len(ice.take_evicted()) == 3
    assert ice.selected in ice.addresses


def test_ipv4_seen_through_an_ipv6_socket_is_reported_as_ipv4():
    assert plain_host("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_host("fe80::1%eth0") == "fe80::1"


@given(
    st.binary(max_size=600) | st.binary(max_size=80).map(lambda rest: b"\0\1\0\x20\x21\x12\xa4\x42" + rest)
)
def test_no_datagram_breaks_the_parser(datagram):
    parse_binding(datagram)


@given(st.data())
def test_no_mangled_check_breaks_the_parser(data):
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["PRIORITY"] = 1
    message.attributes["XOR-MAPPED-ADDRESS"] = HOME
    good = bytearray(bytes(message))
    for _ in range(data.draw(st.integers(1, 5))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    binding = parse_binding(bytes(good))
    if binding is not None:
        assert IceLite(OWN, 0).check(binding, HOME, 0) is None
