"""A broadcast on several nodes: pulled once, served on, whoever dies or leaves."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import aiohttp
import httpx
import pytest

from stream import broadcast as broadcast_module
from stream.edge import edges, whep
from stream.edge.link import Link
from stream.packet import keyframes, reception, rtcp
from stream.packet.rtcp import KeyframeRequest
from stream.ports import BroadcastState, Origin

from .conftest import SHOW, is_gapless, on_air, origins_of, rolling, until


def state(node):
    return node.sessions.counts().get(SHOW, (BroadcastState.IDLE, 0))[0]


@contextlib.asynccontextmanager
async def rolling_layers(studio):
    async def roll():
        for place in itertools.count(1):
            studio.frame(key=(0, 1, 2) if place % 10 == 0 else ())
            await asyncio.sleep(0.02)

    task = asyncio.create_task(roll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def pull_of(node):
    return node.edges._keepers[SHOW].pull


async def kill(node, register):
    """As SIGKILL does: nobody is told, ports close."""
    del register.nodes[next(name for name, held in register.nodes.items() if held is node)]
    node.sessions._ingress.send = lambda datagram, address: None
    node.sessions.events.end_all = lambda: None
    await node.stop()


async def test_a_node_that_is_asked_pulls_once_and_serves_many(start, at, camera):
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera, rtx=True)
    await until(lambda: state(origin) is BroadcastState.LIVE)
    viewers = await asyncio.gather(*(at(edge).join("view.show", rtx=True) for _ in range(3)))
    assert [viewer.status for viewer in viewers] == [201] * 3
    for _ in range(5):
        shot.frame()
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: shot.timestamp in {p.timestamp for p in viewer.video()})
        assert is_gapless(viewer.video())
        assert viewer.video()[0].payload[0] == 0x67, "from the keyframe on"
    assert len(origin.sessions) == 2, "the publisher and one pull"
    assert origin.sessions.counts()[SHOW][1] == 0, "a node is no viewer"
    assert edge.sessions.counts()[SHOW][1] == 3
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.http_port}", timeout=30) as http:
        assert (
            'hawker_stream_pulls{broadcast="show",origin="origin"} 1.0' in (await http.get("/metrics")).text
        )
        health = (await http.get("/healthz")).json()["broadcasts"]["show"]
    assert health == {"state": "live", "viewers": 3, "pulled_from": "origin"}
    assert origins_of(edge) == {SHOW: "origin"}


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_viewers_of_an_edge_see_the_hosts_timestamps(start, at, camera, codec):
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera, video=(codec,))
    viewer = await at(edge).join("view.show", video=("VP8", "H264"))
    await viewer.until(lambda: len(viewer.video()) == 15)
    sent = []
    for _ in range(10):
        shot.frame()
        sent.append(shot.timestamp)
    await viewer.until(lambda: len(viewer.video()) == 45)
    assert list(dict.fromkeys(packet.timestamp for packet in viewer.video()))[-10:] == sent
    assert is_gapless(viewer.video())


async def test_packets_lost_on_the_way_to_the_edge_are_asked_for_again(start, at, camera, monkeypatch):
    monkeypatch.setattr(reception, "GIVE_UP_S", 600.0)
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    link = pull_of(edge)._first.link
    receive, seen = link._receive, []

    def lossy(datagram, now):
        if 128 <= datagram[0] < 192 and not 192 <= datagram[1] <= 223:
            seen.append(datagram)
            if len(seen) % 4 == 2:
                return
        receive(datagram, now)

    link._receive = lossy
    for _ in range(10):
        shot.frame()
    await until(lambda: len(seen) >= 30)
    link._receive = receive
    shot.frame()
    await viewer.until(lambda: len({packet.seq for packet in viewer.video()}) == 48)
    upstream = next(session for session in origin.sessions if session.kind == "whep")
    assert upstream.counts["resent"] >= 5
    assert pull_of(edge).counts["nacked"] >= 5
    assert upstream._resends._rtx_seq >= 5, "in a stream of their own"


async def test_where_no_udp_gets_to_the_origin_it_is_pulled_over_tcp(start, at, camera, monkeypatch):
    origin, edge = await start("origin"), await start("edge")
    put, lost = Link._put, []

    def behind_a_firewall(link, datagram, address=None):
        if (address or link._checks.selected) == ("127.0.0.1", origin.udp_port):
            lost.append(datagram)
        else:
            put(link, datagram, address)

    monkeypatch.setattr(Link, "_put", behind_a_firewall)
    _, shot = await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    for _ in range(5):
        shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 30)
    assert is_gapless(viewer.video())
    assert lost, "UDP is asked first"
    await until(lambda: len(origin._tcp) == 1)
    edge.end(SHOW)
    await until(lambda: len(origin._tcp) == 0)


async def test_requests_for_a_keyframe_are_folded_on_their_way_to_the_host(start, at, camera, monkeypatch):
    monkeypatch.setattr(keyframes, "INTERVAL_S", 600.0)
    origin, edge = await start("origin"), await start("edge")
    publisher, shot = await on_air(at(origin), camera)
    viewers = [await at(edge).join("view.show") for _ in range(3)]
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: len(viewer.video()) >= 15)
        for _ in range(5):
            viewer.send_rtcp(rtcp.pli(1, viewer.video()[0].ssrc))
    await publisher.until(lambda: any(isinstance(said, KeyframeRequest) for said in publisher.rtcp))
    await asyncio.sleep(0.3)
    assert sum(isinstance(said, KeyframeRequest) for said in publisher.rtcp) == 1
    shot.frame(key=True)
    await viewers[0].until(lambda: shot.timestamp in {p.timestamp for p in viewers[0].video()})


async def test_a_pull_ends_some_seconds_after_the_last_viewer(start, at, camera, monkeypatch):
    origin, edge = await start("origin"), await start("edge")
    await on_air(at(origin), camera)
    first, second = [await at(edge).join("view.show") for _ in range(2)]
    monkeypatch.setattr(edges, "LINGER_S", 0.3)
    await first.delete()
    await asyncio.sleep(0.5)
    assert len(edge.edges) == 1, "one still watches"
    await second.delete()
    await until(lambda: len(edge.edges) == 0)
    assert edge.sessions.broadcasts == {}
    assert len(edge.sessions) == 0
    await until(lambda: len(origin.sessions) == 1)


async def test_what_nobody_has_is_not_live_and_costs_nothing(start, at, camera, register):
    edge, other = await start("edge"), await start("other")
    refused = await at(edge).join("view.show")
    assert (refused.status, refused.problem["code"]) == (409, "not_live")
    assert (len(edge.edges), edge.sessions.broadcasts) == (0, {})
    await on_air(at(other), camera)
    edge._origins.failure = ConnectionError("the register is away")
    refused = await at(edge).join("view.show")
    assert (refused.status, refused.problem["code"]) == (409, "not_live")
    edge._origins.failure = None
    assert (await at(edge).join("view.show")).status == 201


async def test_nobody_pulls_from_an_edge(start, at, camera, make_offer):
    origin, edge = await start("origin"), await start("edge")
    await on_air(at(origin), camera)
    await at(edge).join("view.show")
    refused = at(edge)
    await refused.post("whep", "edge.show", make_offer("recvonly"))
    assert (refused.status, refused.problem["code"]) == (409, "not_live")


async def watching_layers(peer, edge):
    """A viewer at the edge, and the broadcast there once it has a picture of each layer."""
    viewer = await peer.join("view.show", video=("VP8",))
    await until(lambda: len(edge.sessions.broadcasts[SHOW].layers) == 3)
    broadcast = edge.sessions.broadcasts[SHOW]
    await until(lambda: all(layer.gop.is_open for layer in broadcast.layers))
    return viewer, broadcast


async def test_an_edge_pulls_every_layer_and_its_viewers_choose(start, at, on_three_layers):
    origin, edge = await start("origin"), await start("edge")
    studio = await on_three_layers(at(origin))
    async with rolling_layers(studio):
        viewer, broadcast = await watching_layers(at(edge), edge)
        await viewer.until(lambda: any(packet.payload[6] == 2 for packet in viewer.video()))
    assert [layer.rid for layer in broadcast.layers] == ["q", "h", "f"]
    assert sum(session.kind == "whep" for session in origin.sessions) == 3
    assert origin.sessions.counts()[SHOW][1] == 0
    frames = list({packet.timestamp: packet for packet in viewer.video()}.values())
    steps = [b.timestamp - a.timestamp for a, b in itertools.pairwise(frames)]
    assert all(0 < step < 90_000 for step in steps), "one line of time through all layers"
    assert is_gapless(viewer.video())


async def test_a_layer_that_could_not_be_pulled_is_pulled_a_moment_later(
    start, at, on_three_layers, monkeypatch
):
    origin, edge = await start("origin"), await start("edge")
    studio = await on_three_layers(at(origin))
    begun, begin = [], whep.begin

    async def refused_once(*args):
        begun.append(args)
        if len(begun) == 2:
            raise whep.PullError("origin_refused", "test")
        return await begin(*args)

    monkeypatch.setattr(whep, "begin", refused_once)
    async with rolling_layers(studio):
        viewer, _ = await watching_layers(at(edge), edge)
        await viewer.until(lambda: any(packet.payload[6] == 2 for packet in viewer.video()))


async def test_a_layer_whose_session_ends_comes_back_in_its_place(start, at, on_three_layers):
    origin, edge = await start("origin"), await start("edge")
    studio = await on_three_layers(at(origin))
    async with rolling_layers(studio):
        viewer, broadcast = await watching_layers(at(edge), edge)
        legs = pull_of(edge)._legs
        lost = legs["h"]
        lost.link.close("test")
        await pull_of(edge)._follow_layers(pull_of(edge)._first.resource, ["q", "h", "f"])
        assert [layer.rid for layer in broadcast.layers] == ["q", "h", "f"]
        again = pull_of(edge)._legs
        assert again["h"] not in (None, lost)
        assert [again[rid].layer for rid in ("q", "h", "f")] == broadcast.layers
        before = broadcast.layers[1].newest
        await until(lambda: broadcast.layers[1].newest > before)
        await viewer.until(lambda: any(packet.payload[6] == 2 for packet in viewer.video()))


async def test_an_origins_answer_may_come_in_pieces():
    async def origin(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nLocation: http://x/whep/abc\r\nContent-Length: 8\r\n\r\nv=0\r")
        await asyncio.sleep(0.05)
        writer.write(b"\ns=-")
        writer.close()

    server = await asyncio.start_server(origin, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, aiohttp.ClientSession() as http:
        resource, answer = await whep.begin(http, base, "ticket", "offer")
    assert (resource.url, answer) == (f"{base}/whep/abc", "v=0\r\ns=-")


async def test_an_edge_whose_origin_dies_finds_the_new_one(start, at, camera, register):
    first, edge = await start("first"), await start("edge")
    _, shot = await on_air(at(first), camera)
    viewer = await at(edge).join("view.show", video=("H264",))
    await viewer.until(lambda: len(viewer.video()) == 15)
    await kill(first, register)
    second = await start("second")
    publisher = await at(second).join("publish.show.key")
    shot = camera(publisher, ssrc=0x9999, seq=40_000, timestamp=77)
    async with rolling(shot):
        await viewer.until(lambda: len(viewer.video()) >= 30)
        await until(lambda: origins_of(edge) == {SHOW: "second"})
    assert is_gapless(viewer.video())
    packets = viewer.video()
    jump = (packets[15].timestamp - packets[14].timestamp) & 0xFFFFFFFF
    assert 0 < jump < 10 * 90_000, "time goes on by what has passed"
    assert not viewer.is_closed
    assert len(edge.sessions) == 1


async def test_a_host_who_moves_takes_the_viewers_of_the_old_node_along(start, at, camera):
    old, new = await start("old"), await start("new")
    publisher, _ = await on_air(at(old), camera)
    viewer = await at(old).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    again = await at(new).join("publish.show.key")
    moved = camera(again, ssrc=0x9999, seq=40_000, timestamp=77)
    async with rolling(moved):
        await publisher.delete()
        await viewer.until(lambda: len(viewer.video()) >= 30)
        await until(lambda: origins_of(old) == {SHOW: "new"})
    assert is_gapless(viewer.video())
    assert origins_of(new) == {}
    assert not old.sessions.carried()[SHOW].is_origin


async def test_a_host_who_moves_to_an_edge_replaces_its_pull_at_a_keyframe(start, at, camera):
    old, new = await start("old"), await start("new")
    publisher, shot = await on_air(at(old), camera)
    viewer, stayed = await at(new).join("view.show"), await at(old).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    again = await at(new).join("publish.show.key")
    moved = camera(again, ssrc=0x9999, seq=40_000, timestamp=77)
    moved.frame()
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert viewer.video()[-1].timestamp == shot.timestamp, "the pull goes on until there is a keyframe"
    moved.frame(key=True)
    await viewer.until(lambda: len(viewer.video()) == 21)
    shot.frame()
    moved.frame()
    await viewer.until(lambda: len(viewer.video()) == 24)
    assert is_gapless(viewer.video())
    assert viewer.video()[-1].timestamp - viewer.video()[-4].timestamp == 3000
    assert new.sessions.carried()[SHOW].is_origin
    await until(lambda: len(new.edges) == 0)
    await publisher.delete()
    async with rolling(moved):
        await stayed.until(lambda: len(stayed.video()) >= 40)
        await until(lambda: origins_of(old) == {SHOW: "new"})
    assert is_gapless(stayed.video())


async def test_a_pull_that_breaks_goes_on_where_it_was(start, at, camera):
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    broken = pull_of(edge)
    broken._first.link.close("test")
    async with rolling(shot):
        await until(lambda: pull_of(edge) not in (None, broken))
        await viewer.until(lambda: len(viewer.video()) >= 60)
    shot.frame()
    await viewer.until(lambda: viewer.video()[-1].timestamp == shot.timestamp)
    assert is_gapless(viewer.video())
    timestamps = [packet.timestamp for packet in viewer.video()]
    assert timestamps == sorted(timestamps)


async def test_a_pull_goes_on_while_nobody_gives_tickets_for_another(start, at, camera, register):
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    held, refused = pull_of(edge), asyncio.Event()

    async def no_ticket(_broadcast):
        refused.set()
        raise RuntimeError("the registry has gone")

    edge._origins.ticket = no_ticket
    held.is_leaving = True
    second = await start("second")
    register.origin_of = lambda broadcast, but: Origin(
        "second", "boot", f"http://127.0.0.1:{second.http_port}", is_live=True
    )
    async with asyncio.timeout(30):
        await refused.wait()
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert pull_of(edge) is held
    assert is_gapless(viewer.video())


async def test_a_host_who_pauses_leaves_the_edge_waiting(start, at, camera, monkeypatch):
    origin, edge = await start("origin"), await start("edge")
    publisher, _ = await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    monkeypatch.setattr(broadcast_module, "SILENT_S", 0.5)
    await publisher.delete()
    await until(lambda: state(edge) is BroadcastState.AWAY)
    monkeypatch.setattr(broadcast_module, "SILENT_S", 60.0)
    late = await at(edge).join("view.show")
    assert late.status == 201, "whoever comes now waits as well"
    again = await at(origin).join("publish.show.key")
    camera(again, ssrc=0x9999, seq=40_000, timestamp=77).frame(key=True)
    await viewer.until(lambda: len(viewer.video()) == 18)
    await late.until(lambda: viewer.video()[-1].timestamp in {p.timestamp for p in late.video()})
    assert is_gapless(viewer.video())


async def test_a_show_that_ends_ends_on_the_edge(start, at, camera):
    origin, edge = await start("origin"), await start("edge")
    await on_air(at(origin), camera)
    viewer = await at(edge).join("view.show")
    edge.end(SHOW)
    await viewer.until(lambda: viewer.is_closed)
    await until(lambda: len(edge.edges) == 0)
    await until(lambda: len(origin.sessions) == 1)


async def test_a_node_stops_though_a_cancellation_gets_lost_in_its_registry(start, at, camera, register):
    """As asyncio.wait_for loses one on Python 3.11, when what it waits for is done at that moment."""
    origin, edge = await start("origin"), await start("edge")
    await on_air(at(origin), camera)
    await at(edge).join("view.show")
    await kill(origin, register)
    asked = asyncio.Event()

    async def careless(_broadcast):
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)

    edge._origins.origin_of = careless
    await asyncio.wait_for(asked.wait(), 30)
    async with asyncio.timeout(30):
        await edge.stop()
