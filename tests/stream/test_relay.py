"""A node with publishers and viewers, end to end: what viewers get, whatever becomes of the publisher."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections import Counter

import aiohttp
import pylibsrtp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from stream import viewer as viewer_module
from stream.node import Node, NodeSettings, TcpPortUnavailableError, UdpPortUnavailableError
from stream.packet import cache, keyframes, overrun, reception, rtcp, rtp
from stream.packet.rtcp import KeyframeRequest, Nack, SenderReport
from stream.ports import BroadcastState
from stream.viewer import Viewer
from stream.wire import ice
from stream.wire.dtls import Dtls
from stream.wire.peer import Peer


def is_gapless(packets):
    seqs = [packet.seq for packet in packets]
    return all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(seqs))


async def on_air(light, camera, **options):
    publisher = await light().join("publish.show.key", **options)
    assert publisher.status == 201
    shot = camera(publisher, codec=options.get("video", ("H264",))[0])
    shot.frame(key=True)
    for _ in range(4):
        shot.frame()
    return publisher, shot


async def settled(node, state, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        while state not in [held for held, _ in node.sessions.counts().values()]:
            await asyncio.sleep(0.01)


async def test_a_viewer_that_joins_late_gets_the_whole_gop_and_goes_on_live(node, light, camera):
    _, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    packets = viewer.video()
    assert packets[0].payload[0] == 0x67
    assert is_gapless(packets)
    timestamps = list(dict.fromkeys(packet.timestamp for packet in packets))
    assert timestamps == sorted(timestamps)
    assert timestamps[-1] == shot.timestamp, "live packets keep the host's timestamps"
    assert timestamps[4] - timestamps[0] <= 4 * 180, "a replay is drawn together"


async def test_a_node_that_cannot_keep_up_takes_publishers_but_no_more_viewers(
    node, light, camera, monkeypatch
):
    monkeypatch.setattr(overrun, "CALM_S", 600.0)
    await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    stays = await light().join("view.show")
    for _ in range(6):
        node.fanout._stats.drops["late"] += 1
        await asyncio.sleep(0.02)
        node.sessions._overrun.note(node.fanout.stats().drops["late"], node.sessions._clock.time())
        node.sessions._overrun._since -= 0.4  # so much later
    refused = await light().join("view.show")
    assert (refused.status, refused.problem["code"]) == (503, "overloaded")
    assert refused.response.headers["retry-after"] == "2"
    assert (await light().join("publish.other.key")).status == 201
    assert stays.status == 201
    assert not stays.is_closed


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_who_is_still_catching_up_at_a_keyframe_goes_on_from_there(
    node, light, camera, monkeypatch, codec
):
    _, shot = await on_air(light, camera, video=(codec,))
    await settled(node, BroadcastState.LIVE)
    monkeypatch.setattr(viewer_module, "BURST_PACKETS", 1)
    monkeypatch.setattr(viewer_module, "BURST_EVERY_S", 60.0)
    viewer = await light().join("view.show", video=("H264", "VP8"))
    await viewer.until(lambda: len(viewer.video()) == 3)  # a frame of five, and then it waits for its turn
    shot.frame(key=True)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 9)
    packets = viewer.video()
    assert is_gapless(packets)
    key, last = packets[3:6], packets[6:]
    assert {packet.timestamp for packet in last} == {shot.timestamp}
    assert {packet.timestamp for packet in key} == {shot.timestamp - 3000}
    assert all(packet.timestamp < shot.timestamp - 3000 for packet in packets[:3])


async def test_the_publisher_that_ignores_requests_is_asked_no_more_than_once_a_second(
    node, light, camera, monkeypatch
):
    assert keyframes.INTERVAL_S == 1.0
    monkeypatch.setattr(keyframes, "INTERVAL_S", 600.0)
    publisher, _shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewers = [await light().join("view.show") for _ in range(3)]
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: len(viewer.video()) >= 15)
        for _ in range(5):
            viewer.send_rtcp(rtcp.pli(1, viewer.video()[0].ssrc))
    await publisher.until(lambda: any(isinstance(said, KeyframeRequest) for said in publisher.rtcp))
    await asyncio.sleep(0.3)
    assert sum(isinstance(said, KeyframeRequest) for said in publisher.rtcp) == 1


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_the_publisher_returns_and_viewers_go_on_in_the_same_numbers(
    node, light, camera, observer, codec
):
    publisher, shot = await on_air(light, camera, video=(codec,))
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show", video=("VP8", "H264"))
    await viewer.until(lambda: len(viewer.video()) == 15)
    assert (await publisher.delete()).status_code == 200
    await settled(node, BroadcastState.AWAY)
    again = await light().join("publish.show.key", video=(codec,))
    shot = camera(again, codec=codec, ssrc=0x9999, seq=40000, timestamp=77)
    shot.frame()
    shot.frame(key=True)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 21)
    packets = viewer.video()
    assert is_gapless(packets), "what came before the new keyframe is left out"
    assert {packet.ssrc for packet in packets} == {packets[0].ssrc}
    assert 0 < (packets[15].timestamp - packets[14].timestamp) & 0xFFFFFFFF < 10 * 90_000
    assert packets[18].timestamp - packets[15].timestamp == 3000
    if codec == "VP8":
        ids = [int.from_bytes(packet.payload[2:4], "big") & 0x7FFF for packet in packets[::3]]
        assert ids == list(range(ids[0], ids[0] + 7))
    assert [state for _, state, _ in observer.changes if state is BroadcastState.AWAY]


async def test_another_codec_goes_on_for_who_agreed_to_it_and_ends_for_who_did_not(node, light, camera):
    publisher, _ = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    both = await light().join("view.show", video=("H264", "VP8"))
    one = await light().join("view.show", video=("H264",))
    await both.until(lambda: len(both.video()) == 15)
    await one.until(lambda: len(one.video()) == 15)
    await publisher.delete()
    again = await light().join("publish.show.key", video=("VP8",))
    camera(again, codec="VP8").frame(key=True)
    await both.until(lambda: len(both.video()) == 18)
    assert [packet.payload_type for packet in both.video()[14:]] == [102, 96, 96, 96]
    assert is_gapless(both.video())
    await one.until(lambda: one.is_closed)
    refused = await light().join("view.show", video=("H264",))
    assert (refused.status, "VP8/90000" in refused.answer) == (406, True), "it is told what would do"


async def test_the_same_key_takes_over_and_another_is_refused(node, light, camera):
    left_behind, _ = await on_air(light, camera)
    other = await light().join("publish.show.other-key")
    assert (other.status, other.problem["code"]) == (409, "publisher_present")
    again = await light().join("publish.show.key")
    assert again.status == 201
    await left_behind.until(lambda: left_behind.is_closed)
    assert len(node.sessions) == 1


async def test_who_is_taken_over_is_told_so_as_not_to_take_it_back(node, light, camera):
    await on_air(light, camera)
    (session,) = node.sessions
    stream = node.sessions.watch(session, ("reconnect", "inactive"))
    again = await light().join("publish.show.key")
    assert again.status == 201
    async with asyncio.timeout(30):
        said = [text async for text in stream.read()]
    assert said == ['event: inactive\ndata: {"reason": "taken_over"}\n\n']


async def test_taking_over_what_never_went_live_leaves_one_broadcast(node, light, camera, make_offer):
    never_connected = light()
    await never_connected.post("whip", "publish.show.key", make_offer("sendonly"))
    again = await light().join("publish.show.key")
    camera(again).frame(key=True)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 3)


async def test_viewers_count_once_they_are_connected(node, light, camera, observer, make_offer):
    await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    await light().post("whep", "view.show", make_offer("recvonly"))
    viewer = await light().join("view.show")
    assert node.sessions.counts()["show"][1] == 1
    await viewer.delete()
    assert [viewers for _, _, viewers in observer.changes][-2:] == [1, 0]


@pytest.mark.usefixtures("ipv6_loopback")
async def test_one_port_for_both_address_families(admission, observer, camera):
    node = Node(NodeSettings(udp_host="::", announced=(("127.0.0.1", 0), ("::1", 0))), admission, observer)
    await node.start()
    publisher, viewer = camera.peer_class(node), camera.peer_class(node)
    await publisher.join("publish.show.key")
    camera(publisher).frame(key=True)
    await settled(node, BroadcastState.LIVE)
    viewer.host = "::1"
    await viewer.join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 3)
    publisher.leave()
    viewer.leave()
    await node.stop()


async def test_a_viewer_is_told_to_ask_again_before_anyone_is_on_air(light):
    viewer = await light().join("view.nobody")
    assert (viewer.status, viewer.problem["code"]) == (409, "not_live")
    assert viewer.response.headers["retry-after"]


async def test_viewers_may_join_and_wait_while_the_publisher_is_away(node, light, camera):
    publisher, _ = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    await publisher.delete()
    viewer = await light().join("view.show")
    again = await light().join("publish.show.key")
    camera(again, ssrc=5).frame(key=True)
    await viewer.until(lambda: any(packet.payload[0] == 0x65 for packet in viewer.video()))


async def test_what_a_viewer_lost_comes_again_byte_for_byte(node, light, camera):
    _, _shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    wanted = viewer.video()[7]
    # A second session under the same keys: its replay window has not seen the packet yet.
    viewer._rx = type(viewer._rx)(_policy(viewer))
    viewer.rtp.clear()
    viewer.send_rtcp(rtcp.nack(1, wanted.ssrc, [wanted.seq]))
    await viewer.until(lambda: viewer.rtp)
    assert viewer.rtp == [wanted]


def _policy(viewer):
    from pylibsrtp import Policy

    keys = viewer.dtls.inbound
    return Policy(
        key=keys.key + keys.salt,
        ssrc_type=Policy.SSRC_ANY_INBOUND,
        srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    )


async def test_what_was_lost_before_the_codec_changed_comes_again_as_it_was(node, light, camera):
    """Without RTX, by two paths: a packet of the old codec must not be read as one of the new."""
    publisher, shot = await on_air(light, camera, video=("VP8",))
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show", video=("H264", "VP8"))
    await viewer.until(lambda: len(viewer.video()) == 15)
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    session._number(session.layer.newest + 1, session.layer.newest, 0, (5, 7))  # as after a change of layers
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    wanted = viewer.video()[-1]
    await publisher.delete()
    again = await light().join("publish.show.key")
    camera(again, ssrc=0x9999, seq=40_000, timestamp=77).frame(key=True)
    await viewer.until(lambda: len(viewer.video()) == 21)
    viewer._rx = type(viewer._rx)(_policy(viewer))
    viewer.rtp.clear()
    viewer.send_rtcp(rtcp.nack(1, wanted.ssrc, [wanted.seq]))
    await viewer.until(lambda: viewer.rtp)
    assert viewer.rtp == [wanted]


@pytest.mark.parametrize("lose", [(0, 1, 2), (2,), (1,)], ids=["frame", "end", "middle"])
async def test_who_joins_while_the_publisher_repeats_a_packet_gets_it_in_its_place(
    node, light, camera, lose, monkeypatch
):
    _, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    monkeypatch.setattr(cache, "GIVE_UP_S", 30.0)
    monkeypatch.setattr(reception, "GIVE_UP_S", 30.0)
    shot.frame(lose=lose)
    shot.frame()
    shot.frame()
    broadcast = node.sessions.broadcasts["show"]
    await viewer_sees(lambda: broadcast.video.newest % 65536 == shot.seq - 1)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) >= 12)
    shot.frame()
    for packet in shot.lost:
        shot.peer.send_rtp(packet)
    await viewer.until(lambda: len(viewer.video()) == 27)
    await viewer_sees(lambda: not broadcast.video.joining)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 30)
    packets = sorted(viewer.video(), key=lambda packet: packet.seq)
    assert is_gapless(packets)
    timestamps = [packet.timestamp for packet in packets]
    assert timestamps == sorted(timestamps)
    assert len(set(timestamps)) == 10
    bodies = [packet.payload[-2:] for packet in packets]
    assert bodies == [bytes((seq & 0xFF, place % 3)) for place, seq in enumerate(range(100, 130))]


async def test_who_joins_behind_a_packet_that_never_comes_goes_on_without_it(
    node, light, camera, monkeypatch
):
    _, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    monkeypatch.setattr(cache, "GIVE_UP_S", 0.2)
    shot.frame(lose=(0, 1, 2))
    shot.frame()
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert is_gapless(viewer.video())


async def viewer_sees(condition, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_keyframe_behind_a_delimiter_lets_in_who_waits(node, light, camera, monkeypatch):
    """Some encoders head each picture with a delimiter (NAL unit type 9) in a packet of its own."""
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    monkeypatch.setattr(viewer_module, "BURST_PACKETS", 1)
    monkeypatch.setattr(viewer_module, "BURST_EVERY_S", 60.0)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 3)  # a frame of five, and then it waits for its turn
    shot.timestamp += 3000
    for unit in (b"\x09\xf0", b"\x67sps", b"\x68pps", b"\x65idr"):
        publisher.send_rtp(rtp.build(102, unit[0] == 0x65, shot.seq, shot.timestamp, shot.ssrc, unit))
        shot.seq += 1
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 10)
    assert [packet.payload[0] for packet in viewer.video()[3:7]] == [9, 0x67, 0x68, 0x65]
    assert is_gapless(viewer.video())


async def test_with_rtx_the_repeat_has_a_stream_of_its_own(node, light, camera):
    await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show", rtx=True)
    await viewer.until(lambda: len(viewer.video()) == 15)
    wanted = viewer.video()[7]
    for _ in range(2):
        viewer.send_rtcp(rtcp.nack(1, wanted.ssrc, [wanted.seq]))
    await viewer.until(lambda: len(viewer.rtp) == 18)  # the second time it leaves twice
    first, second, third = viewer.rtp[-3:]
    assert first.payload_type == 103
    assert first.ssrc != wanted.ssrc
    assert (second.seq, third.seq) == (first.seq + 1, first.seq + 2)
    assert first.payload == second.payload == third.payload
    assert rtp.unwrap_rtx(first.payload) == (wanted.seq, wanted.payload)
    assert first.timestamp == wanted.timestamp


async def test_a_replayed_packet_is_resent_though_the_ring_has_let_it_go(node, light, camera, monkeypatch):
    monkeypatch.setattr(cache, "RING_PACKETS", 2)
    await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show", rtx=True)
    await viewer.until(lambda: len(viewer.video()) == 15)
    wanted = viewer.video()[0]
    viewer.send_rtcp(rtcp.nack(1, wanted.ssrc, [wanted.seq]))
    await viewer.until(lambda: len(viewer.rtp) == 16)
    assert rtp.unwrap_rtx(viewer.rtp[-1].payload) == (wanted.seq, wanted.payload)


async def test_a_gap_that_nobody_fills_is_mended_by_a_keyframe(node, light, camera, monkeypatch):
    monkeypatch.setattr(reception, "GIVE_UP_S", 0.1)
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    shot.frame(lose=(1,))
    shot.frame()
    await publisher.until(lambda: any(isinstance(said, KeyframeRequest) for said in publisher.rtcp))


async def test_the_relay_asks_again_and_again_for_what_the_publisher_lost(node, light, camera, monkeypatch):
    monkeypatch.setattr(reception, "GIVE_UP_S", 600.0)
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    shot.frame(lose=(1,))
    shot.frame()
    lost = rtp.parse(shot.lost[0])

    def asked():
        return sum(isinstance(said, Nack) and lost.seq in said.seqs for said in publisher.rtcp)

    await publisher.until(lambda: asked() >= 2)
    publisher.send_rtp(shot.lost[0])
    await viewer.until(lambda: len(viewer.video()) == 21)
    assert lost.payload in [packet.payload for packet in viewer.video()]
    before = asked()
    await asyncio.sleep(0.15)
    assert asked() == before


async def test_a_client_that_moves_keeps_its_session(node, light, camera):
    _, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    await viewer.open_socket()
    viewer.check()
    await viewer.until(lambda: viewer.stun_answers == 2)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert is_gapless(viewer.video())


async def test_a_silent_publisher_is_away_and_back_when_it_speaks(node, light, camera, observer):
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    publisher.send_rtcp(rtcp.bye(shot.ssrc))
    await settled(node, BroadcastState.AWAY)
    shot.ssrc += 1
    shot.frame(key=True)
    await settled(node, BroadcastState.LIVE)


async def test_two_broadcasts_never_mix(node, light, camera):
    await on_air(light, camera)
    other = await light().join("publish.other.key")
    camera(other, timestamp=5_000_000).frame(key=True)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.other")
    await viewer.until(lambda: len(viewer.video()) == 3)
    assert {packet.timestamp for packet in viewer.video()} == {5_003_000}


async def test_only_announced_codecs_are_forwarded(node, light, camera):
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    publisher.send_rtp(rtp.build(97, True, 1, 1, 77, b"\x65forged"))
    publisher.send_rtp(rtp.build(102, True, 1, 1, 78, b"\x65a second source"))
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert all(packet.timestamp == shot.timestamp for packet in viewer.video()[15:])


async def test_sender_reports_reach_viewers_in_the_relays_numbers(node, light, camera):
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    publisher.send_rtcp(rtcp.sender_report(SenderReport(shot.ssrc, 5 << 32, 12345, 1, 1), b"c"))
    await asyncio.sleep(0.05)
    viewer = await light().join("view.show")
    await viewer.until(lambda: any(isinstance(said, SenderReport) for said in viewer.rtcp))
    report = next(said for said in viewer.rtcp if isinstance(said, SenderReport))
    await viewer.until(lambda: viewer.video())
    assert report.ssrc == viewer.video()[0].ssrc
    passed_s = (report.ntp - (5 << 32)) / (1 << 32)
    assert abs((report.timestamp - 12345) / 90_000 - passed_s) < 0.001


async def test_garbage_on_the_port_disturbs_nobody(node, light, camera):
    _, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    viewer = await light().join("view.show")
    stranger = light()
    await stranger.open_socket()
    for first in range(256):
        stranger.send(bytes((first,)) * 40)
        viewer.send(bytes((first,)) * 40)
        await asyncio.sleep(0)  # the port reads meanwhile: its buffer is bounded
    stranger.send(b"")
    stranger.answer = viewer.answer
    stranger.check(password="wrong")
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    assert stranger.stun_answers == 0


async def test_lost_consent_frees_the_session(node, light, camera, monkeypatch):
    await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    await light().join("view.show")
    monkeypatch.setattr(ice, "CONSENT_S", 0.2)
    async with asyncio.timeout(30):
        while len(node.sessions):
            await asyncio.sleep(0.02)
    assert node.sessions.totals.closed["consent_lost"] == 2


async def test_dtls_close_frees_the_session_and_stop_says_goodbye(node, light, camera):
    _publisher, _ = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    leaving, staying = await light().join("view.show"), await light().join("view.show")
    for datagram in leaving.dtls.close():
        leaving.send(datagram)
    async with asyncio.timeout(30):
        while node.sessions.totals.closed["dtls_closed"] != 1:
            await asyncio.sleep(0.01)
    await node.drain(1)
    await staying.until(lambda: staying.is_closed)
    assert len(node.sessions) == 0
    refused = await light().join("view.show")
    assert (refused.status, refused.problem["code"]) == (503, "draining")


async def test_who_has_left_leaves_nothing_behind(node, light, camera):
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)

    def alive():
        gc.collect()
        kinds = (Viewer, Peer, Dtls, pylibsrtp.Session)
        return Counter(type(held).__name__ for held in gc.get_objects() if isinstance(held, kinds))

    before, tasks = alive(), len(asyncio.all_tasks())
    for leave in ("delete", "goodbye") * 3:
        viewer = await light().join("view.show")
        await viewer.until(lambda viewer=viewer: len(viewer.video()) >= 15)
        if leave == "delete":
            await viewer.delete()
        else:
            for datagram in viewer.dtls.close():
                viewer.send(datagram)
        viewer.leave()
        viewer.dtls = viewer._rx = viewer._tx = None
        del viewer
    del light.made[1:]
    async with asyncio.timeout(60):
        while not (alive() <= before and len(asyncio.all_tasks()) <= tasks):
            await asyncio.sleep(0.1)
    shot.frame()
    assert len(node.sessions) == 1
    assert publisher.dtls is not None


async def test_ports_in_use_are_named_and_nothing_is_left_open(admission, observer, taken_port):
    with pytest.raises(UdpPortUnavailableError, match=str(taken_port)):
        await Node(NodeSettings(udp_port=taken_port), admission, observer).start()
    first = Node(NodeSettings(), admission, observer)
    await first.start()
    with pytest.raises(TcpPortUnavailableError):
        await Node(NodeSettings(http_port=first.http_port), admission, observer).start()
    await first.stop()
    await first.stop()


async def test_ffmpeg_publishes_and_aiortc_decodes_moving_frames(node, encoder):
    async with encoder("publish.show.key"):
        await settled(node, BroadcastState.LIVE, 60)
        pictures, sounds = await watch(node, "view.show", pictures=20)
    assert len({hash(bytes(picture.planes[0])) for picture in pictures}) >= 10
    assert len(sounds) > 5
    await settled(node, BroadcastState.AWAY)


async def watch(node, ticket, *, pictures):
    """Decoded frames, as a viewer with aiortc sees them."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    frames, sounds, tasks = [], [], []

    async def collect(track, into):
        while len(into) < (pictures if into is frames else 6):
            into.append(await track.recv())

    connection.on(
        "track",
        lambda track: tasks.append(
            asyncio.ensure_future(collect(track, frames if track.kind == "video" else sounds))
        ),
    )
    for kind in ("video", "audio"):
        connection.addTransceiver(kind, "recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    async with aiohttp.ClientSession() as http:
        async with http.post(
            f"http://127.0.0.1:{node.http_port}/whep?ticket={ticket}",
            data=connection.localDescription.sdp,
            headers={"content-type": "application/sdp"},
        ) as response:
            assert response.status == 201
            answer = await response.text()
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    await connection.close()
    return frames, sounds


async def test_who_joins_late_can_decode_though_the_encoder_told_its_parameters_once(node, light, camera):
    publisher, shot = await on_air(light, camera)
    await settled(node, BroadcastState.LIVE)
    early = await light().join("view.show")
    await early.until(lambda: len(early.video()) == 15)
    shot.timestamp += 3000
    publisher.send_rtp(rtp.build(102, True, shot.seq, shot.timestamp, shot.ssrc, b"\x65bare"))
    shot.seq += 1
    await early.until(lambda: len(early.video()) == 17)
    late = await light().join("view.show")
    await late.until(lambda: len(late.video()) == 2)
    for viewer in (early, late):
        head, keyframe = viewer.video()[-2:]
        assert [unit & 0x1F for unit in (head.payload[0], head.payload[3], keyframe.payload[0])] == [24, 7, 5]
        assert head.timestamp == keyframe.timestamp
        assert is_gapless(viewer.video())
