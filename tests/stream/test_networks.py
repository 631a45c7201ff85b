"""Phones change networks, networks let no UDP through, some speak IPv6 alone: the session goes on."""

import asyncio
import itertools
import secrets
from dataclasses import replace

import aiohttp
import httpx
import pytest

from loadtests.relay.peer import Identity, Peer
from loadtests.relay.signalling import offer, post, read_answer
from loadtests.relay.soak_visits import TcpTunnel
from stream.node import Node, NodeSettings
from stream.signal import sdp
from stream.wire import ice

FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag", "if-match": "*"}


def is_gapless(packets):
    seqs = [packet.seq for packet in packets]
    return all((after - before) & 0xFFFF == 1 for before, after in itertools.pairwise(seqs))


@pytest.fixture
async def shot(light, camera):
    """A publisher on air, one keyframe sent: three packets."""
    running = camera(await light().join("publish.show.key"))
    running.frame(key=True)
    return running


@pytest.fixture
async def viewer(light, shot):
    watching = light()
    async with asyncio.timeout(30):
        while (await watching.join("view.show")).status != 201:
            await asyncio.sleep(0.01)
    await watching.until(lambda: len(watching.video()) == 3)
    return watching


async def restarted(peer):
    """The new ufrag and password of our side."""
    fragment = f"a=ice-ufrag:{secrets.token_hex(4)}\r\na=ice-pwd:{secrets.token_hex(12)}\r\n"
    async with httpx.AsyncClient(timeout=30) as http:
        response = await http.patch(peer.location, content=fragment, headers=FRAGMENT)
    assert response.status_code == 200
    lines = [line[2:].partition(":") for line in response.text.splitlines()]
    return {name: value for name, _, value in lines if name.startswith("ice-")}


async def test_wifi_to_4g_and_back_within_one_session(node, viewer, shot):
    before = {session.session for session in node.sessions}
    for move in range(1, 4):
        heard = viewer.stun_answers
        await viewer.open_socket()
        viewer.check()
        await viewer.until(lambda heard=heard: viewer.stun_answers == heard + 1)
        shot.frame()
        await viewer.until(lambda move=move: len(viewer.video()) == 3 + 3 * move)
    assert is_gapless(viewer.video())
    assert {session.session for session in node.sessions} == before


async def test_a_host_that_moves_is_on_air_without_a_gap(node, viewer, shot):
    host = shot.peer
    heard = host.stun_answers
    await host.open_socket()
    host.check()
    await host.until(lambda: host.stun_answers == heard + 1)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 6)
    assert is_gapless(viewer.video())


async def test_a_new_address_is_served_only_after_a_check(node, viewer, shot):
    """Whoever copies sealed packets to us from elsewhere must not draw the stream there."""
    await viewer.open_socket()
    viewer.send_rtcp(b"\x80\xc9\x00\x01\x00\x00\x00\x01")
    shot.frame()
    await asyncio.sleep(0.1)
    assert len(viewer.video()) == 3
    assert node.sessions._ingress.drops["unknown_address"] == 1


async def test_an_ice_restart_from_another_address_goes_on_where_it_was(node, viewer, shot):
    fresh = await restarted(viewer)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 6)
    await viewer.open_socket()
    heard = viewer.stun_answers
    viewer.check(ufrag=fresh["ice-ufrag"], password=fresh["ice-pwd"])
    await viewer.until(lambda: viewer.stun_answers == heard + 1)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 9)
    assert is_gapless(viewer.video())
    viewer.check()  # the credentials of before are of no use any more
    await asyncio.sleep(0.05)
    assert viewer.stun_answers == heard + 1


async def test_a_restart_that_fails_leaves_the_session_until_consent_ends(node, viewer, shot, monkeypatch):
    await restarted(viewer)
    await restarted(viewer)
    viewer.check()
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 6)
    monkeypatch.setattr(ice, "CONSENT_S", -1.0)
    await viewer.until(lambda: viewer.is_closed)
    assert node.sessions.totals.closed["consent_lost"]


# Without UDP


class Guest:
    """A viewer of the load tools, who can be led through a TCP tunnel."""

    def __init__(self, http, base):
        self.http, self.base = http, base
        self.packets = []
        identity = Identity()
        self.peer = Peer(identity)
        self.peer.on_rtp = lambda packet, _: self.packets.append(packet)
        self.text = offer(self.peer.ice, identity.fingerprint, "recvonly", {})

    async def post(self):
        text, _ = await post(self.http, f"{self.base}/whep?ticket=view.show", "", self.text)
        return read_answer(text), text

    async def connect(self, answer, address):
        self.peer.start(replace(answer, candidates=[address]))
        await asyncio.wait_for(asyncio.shield(self.peer.connected), 30)

    async def until(self, count):
        async with asyncio.timeout(30):
            while len(self.video()) < count:
                await asyncio.sleep(0.01)

    def video(self):
        return [packet for packet in self.packets if packet[1] & 0x7F == 102]

    def is_gapless(self):
        seqs = [int.from_bytes(packet[2:4], "big") for packet in self.video()]
        return all((after - before) & 0xFFFF == 1 for before, after in itertools.pairwise(seqs))


@pytest.fixture
async def guest(node):
    async with aiohttp.ClientSession() as http:
        made = Guest(http, f"http://127.0.0.1:{node.http_port}")
        yield made
        made.peer.close()


def tcp_candidate(text):
    lines = [line.split() for line in sdp.parse(text).sections[0].all("candidate")]
    (passive,) = [line for line in lines if line[2] == "tcp"]
    assert passive[6:] == ["typ", "host", "tcptype", "passive"]
    return passive[4], int(passive[5])


async def test_a_whole_session_over_tcp(node, viewer, shot, guest):
    answer, text = await guest.post()
    tunnel = await TcpTunnel.to(*tcp_candidate(text))
    await guest.connect(answer, tunnel.address)
    await guest.until(3)
    for _ in range(5):
        shot.frame()
    await guest.until(18)
    assert guest.is_gapless()
    guest.peer.close()
    async with asyncio.timeout(30):
        while len(node.sessions) > 2:
            await asyncio.sleep(0.02)
    tunnel.close()


async def test_from_udp_to_tcp_when_a_firewall_closes(node, viewer, shot, guest):
    answer, text = await guest.post()
    await guest.connect(answer, answer.candidates[0])
    await guest.until(3)
    tunnel = await TcpTunnel.to(*tcp_candidate(text))
    path = guest_of(node).peer.ice
    before = path.selected
    guest.peer._remote = tunnel.address
    guest.peer.send(guest.peer._binding_request())
    async with asyncio.timeout(30):
        while path.selected == before:
            await asyncio.sleep(0.01)
    shot.frame()
    await guest.until(6)
    assert guest.is_gapless()
    tunnel.close()


def guest_of(node):
    return [held for held in node.sessions if held.kind == "whep"][-1]


# IPv6


@pytest.fixture
async def both(admission, observer, ipv6_loopback):
    """A node on all addresses of both families; clients are told of one each."""
    settings = NodeSettings(udp_host="::", announced=(("::1", 0), ("127.0.0.1", 0)))
    running = Node(settings, admission, observer)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def at(both, camera):
    """Light peers that speak to an address of their choice."""
    made = []

    def make(host):
        made.append(camera.peer_class(both))
        made[-1].host = host
        return made[-1]

    yield make
    for peer in made:
        peer.leave()


async def test_ipv6_and_ipv4_meet_on_one_port_and_a_client_goes_from_one_to_the_other(both, at, camera):
    host = await at("::1").join("publish.show.key")
    shot = camera(host)
    shot.frame(key=True)
    viewers = []
    for address in ("::1", "127.0.0.1"):
        viewer = at(address)
        async with asyncio.timeout(30):
            while (await viewer.join("view.show")).status != 201:
                await asyncio.sleep(0.01)
        await viewer.until(lambda viewer=viewer: len(viewer.video()) == 3)
        viewers.append(viewer)
    for viewer, other in zip(viewers, ("127.0.0.1", "::1"), strict=True):
        viewer.host = other
        heard = viewer.stun_answers
        await viewer.open_socket()
        viewer.check()
        await viewer.until(lambda viewer=viewer, heard=heard: viewer.stun_answers == heard + 1)
    shot.frame()
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: len(viewer.video()) == 6)
        assert is_gapless(viewer.video())
    assert len(both.sessions) == 3


async def test_the_announced_ipv6_address_is_preferred_and_well_formed(both, at):
    viewer = await at("::1").join("publish.show.key")
    section = sdp.parse(viewer.answer).sections[0]
    assert section.port == both.udp_port
    assert "c=IN IP6 ::1" in viewer.answer.splitlines()
    udp = [line.split() for line in section.all("candidate") if " udp " in line]
    assert [line[4] for line in udp] == ["::1", "127.0.0.1"]
    assert int(udp[0][3]) > int(udp[1][3])


@pytest.mark.usefixtures("ipv6_loopback")
async def test_signalling_over_ipv6(admission, observer, make_offer):
    running = Node(NodeSettings(http_host="::1", udp_host="::1"), admission, observer)
    await running.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://[::1]:{running.http_port}", timeout=30) as http:
            created = await http.post(
                "/whip?ticket=publish.show.k",
                content=make_offer("sendonly"),
                headers={"content-type": "application/sdp"},
            )
            assert created.headers["location"].startswith(f"http://[::1]:{running.http_port}/whip/")
            assert (await http.delete(created.headers["location"])).status_code == 200
    finally:
        await running.stop()
