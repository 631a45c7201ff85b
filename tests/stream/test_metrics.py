"""What an operator sees of a node: how the host's packets get in, and how the picture gets to viewers."""

from __future__ import annotations

import asyncio

import httpx

from stream.packet import rtcp
from stream.packet.rtcp import ReportBlock, SenderReport
from stream.track import VIDEO, Track

NTP_AT_0 = 5_000 << 32


def numbers(text: str) -> dict[str, float]:
    """Sample → value."""
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def test_a_round_trip_is_what_is_left_without_the_time_the_player_took():
    track = Track(VIDEO, 90000, 7)
    track.learn_clock(SenderReport(7, NTP_AT_0, 0, 0, 0), 100.0)
    sent = rtcp.parse(track.sender_report(102.0, b"c"))[0]
    assert isinstance(sent, SenderReport)
    block = ReportBlock(7, 0, 0, 0, 0, sent.ntp >> 16 & 0xFFFFFFFF, 65536 // 2)
    assert abs((track.round_trip_s(block, 102.58) or 0) - 0.08) < 0.001


def test_no_report_heard_no_clock_or_an_impossible_answer_is_no_round_trip():
    track = Track(VIDEO, 90000, 7)
    block = ReportBlock(7, 0, 0, 0, 0, 1, 0)
    assert track.round_trip_s(block, 1.0) is None
    track.learn_clock(SenderReport(7, NTP_AT_0, 0, 0, 0), 100.0)
    assert track.round_trip_s(ReportBlock(7, 0, 0, 0, 0, 0, 0), 101.0) is None
    future = (NTP_AT_0 + (9 << 32)) >> 16 & 0xFFFFFFFF
    assert track.round_trip_s(ReportBlock(7, 0, 0, 0, 0, future, 0), 101.0) is None


async def test_loss_and_round_trips_are_told_for_both_directions(node, light, camera):
    publisher = await light().join("publish.show.k")
    studio = camera(publisher)
    publisher.send_rtcp(rtcp.sender_report(SenderReport(studio.ssrc, NTP_AT_0, 9000, 0, 0), b"host"))
    studio.frame(key=True)
    viewer = await light().join("view.show", rtx=True)
    await viewer.until(lambda: len(viewer.video()) == 3)
    studio.frame(lose=(1,))
    publisher.send_rtcp(rtcp.sender_report(SenderReport(studio.ssrc, NTP_AT_0, 12000, 0, 0), b"host"))
    await viewer.until(lambda: any(isinstance(report, SenderReport) for report in viewer.rtcp))
    sent = next(report for report in viewer.rtcp if isinstance(report, SenderReport))
    block = ReportBlock(viewer.video()[0].ssrc, 64, 1, 1, 1, sent.ntp >> 16 & 0xFFFFFFFF, 0)
    viewer.send_rtcp(rtcp.receiver_report(1, [block], b"v"))
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    async with asyncio.timeout(30):
        while session.round_trip_s is None:
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(timeout=30) as http:
        told = numbers((await http.get(f"http://127.0.0.1:{node.http_port}/metrics")).text)
    assert told['hawker_stream_in_packets_total{broadcast="show",stream="video"}'] == 5
    assert told['hawker_stream_in_missing_packets{broadcast="show",stream="video"}'] == 1
    assert told['hawker_stream_viewer_loss_ratio{broadcast="show",quantile="0.5"}'] == 0.25
    assert told['hawker_stream_viewer_rtt_seconds{broadcast="show",quantile="0.95"}'] >= 0
    assert told['hawker_stream_layer_viewers{broadcast="show",layer="0"}'] == 1
    assert told['hawker_stream_viewers_paused{broadcast="show"}'] == 0


async def test_what_can_not_be_opened_is_a_drop_by_that_name(node, light):
    publisher = await light().join("publish.show.k")
    for datagram in (b"\x80\x66" + bytes(40), b"\x80\xc8" + bytes(40), b"\x80"):
        publisher.send(datagram)
    async with httpx.AsyncClient(timeout=30) as http, asyncio.timeout(30):
        told = {}
        while told.get('hawker_stream_drops_total{cause="ingress_undecryptable"}') != 3:
            told = numbers((await http.get(f"http://127.0.0.1:{node.http_port}/metrics")).text)


async def test_events_are_told_by_broadcast_and_outlive_their_sessions_not_their_broadcast(
    node, light, camera
):
    async def events():
        async with httpx.AsyncClient(timeout=30) as http:
            told = numbers((await http.get(f"http://127.0.0.1:{node.http_port}/metrics")).text)
        return {name: value for name, value in told.items() if "_events_total" in name and value}

    shown = 'hawker_stream_viewer_events_total{broadcast="%s",event="pli"}'
    for place, name in enumerate(("one", "two"), 1):
        camera(await light().join(f"publish.{name}.k")).frame(key=True)
        viewer = await light().join(f"view.{name}")
        for _ in range(place):
            viewer.send_rtcp(rtcp.pli(1, 7))
        async with asyncio.timeout(30):
            while (await events()).get(shown % name) != place:
                await asyncio.sleep(0.01)
        await viewer.delete()
    told = await events()
    assert (told[shown % "one"], told[shown % "two"]) == (1, 2)
    node.end("one")
    told = await events()
    assert shown % "one" not in told
    assert shown % "two" in told
