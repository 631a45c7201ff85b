"""Peers that say what is not so, over real sockets: whom it costs something is themselves at most."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest

from stream.packet import rtcp, rtp
from stream.packet.rtcp import ReportBlock

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def http(node):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as client:
        yield client


@pytest.fixture
async def shot(light, camera):
    running = camera(await light().join("publish.show.key", rtx=True))
    running.frame(key=True)
    return running


@pytest.fixture
async def viewer(light, shot):
    async with asyncio.timeout(30):
        while (watching := await light().join("view.show", rtx=True)).status != 201:
            await asyncio.sleep(0.01)
    await watching.until(lambda: len(watching.video()) == 3)
    return watching


def publisher_of(node):
    return next(session for session in node.sessions if session.kind == "whip")


def is_gapless(packets):
    return all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))


async def goes_on(shot, viewer):
    """One more frame, in the next numbers."""
    held = len(viewer.video())
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == held + 3)
    assert is_gapless(viewer.video())
    assert viewer.video()[-1].timestamp == shot.timestamp


# Hosts


async def test_repairs_of_what_was_never_missing_are_nothing(shot, viewer):
    host = shot.peer
    for place, wrong in enumerate((5, 100, 2_000, -1, -2_000, 20_000, 25_000, 30_000)):
        original = (shot.seq + wrong & 0xFFFF).to_bytes(2, "big")
        host.send_rtp(rtp.build(103, True, place, shot.timestamp, 0x5678, original + b"\x41 made up"))
    host.send_rtp(rtp.build(103, True, 50, shot.timestamp, 0x5678, b""))
    await goes_on(shot, viewer)
    shot.frame(lose=(1,))
    held = rtp.parse(shot.lost[0])
    repair = held.seq.to_bytes(2, "big") + held.payload
    host.send_rtp(rtp.build(103, True, 51, held.timestamp, 0x5678, repair))
    await viewer.until(lambda: held.payload in [packet.payload for packet in viewer.video()])
    held_back = len(viewer.video())
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == held_back + 3)
    seqs = sorted(packet.seq for packet in viewer.video())
    assert seqs == list(range(seqs[0], seqs[0] + 12))


async def test_packets_of_nothing_but_padding_keep_their_numbers_and_harm_no_frame(shot, viewer):
    for _ in range(3):
        empty = rtp.build(102, False, shot.seq, shot.timestamp, shot.ssrc, bytes(254) + b"\xff")
        shot.peer.send_rtp(bytes((empty[0] | 0x20,)) + empty[1:])
        shot.seq += 1
    await viewer.until(lambda: len(viewer.video()) == 6)
    assert [packet.payload for packet in viewer.video()[3:]] == [b""] * 3
    await goes_on(shot, viewer)


@pytest.mark.parametrize("jump", [-(2**31) + 5, -90_000, 900_000, 2**31 - 5])
async def test_a_clock_that_jumps_is_carried_on_and_who_joins_then_sees_it(shot, viewer, light, jump):
    shot.frame()
    shot.timestamp = (shot.timestamp + jump) & 0xFFFFFFFF
    await viewer.until(lambda: len(viewer.video()) == 6)
    await goes_on(shot, viewer)
    late = await light().join("view.show")
    await late.until(lambda: len(late.video()) == 9)
    frames = list(dict.fromkeys(packet.timestamp for packet in late.video()))
    assert all(0 < (b - a) & 0xFFFFFFFF < 2**31 for a, b in itertools.pairwise(frames)), "drawn together"
    shot.frame(key=True)
    await late.until(lambda: len(late.video()) == 12)
    assert is_gapless(late.video())
    assert late.video()[-1].timestamp == shot.timestamp


async def test_a_new_source_waits_until_the_old_one_is_silent_and_goes_on_in_its_numbers(
    node, shot, viewer, camera, monkeypatch
):
    other = camera(shot.peer, ssrc=0xBEEF, seq=60_000, timestamp=5)
    other.frame(key=True)
    await goes_on(shot, viewer)
    assert publisher_of(node).counts["second_source"] == 3
    monkeypatch.setattr("stream.intake._SOURCE_SILENT_S", 0.0)
    other.frame()
    other.frame(key=True)
    await viewer.until(lambda: len(viewer.video()) == 9)
    assert is_gapless(viewer.video())
    assert viewer.video()[6].payload[0] == 0x67, "from its keyframe on"
    assert 0 < viewer.video()[6].timestamp - viewer.video()[5].timestamp < 60 * 90_000


# Viewers


async def test_what_a_viewer_claims_changes_nothing_for_the_others(node, shot, viewer, light):
    liar = await light().join("view.show")
    await liar.until(lambda: len(liar.video()) == 3)
    ssrc = liar.video()[0].ssrc
    blocks = [ReportBlock(ssrc, 255, -0x800000, 2**32 - 1, 2**32 - 1, 1, 2**32 - 1)] * 31
    huge, none = b"\x3f" * 4, bytes(4)
    for said in (
        rtcp.receiver_report(1, blocks, b"c"),
        *(
            b"\x8f\xce\x00\x05" + bytes(8) + b"REMB\x01" + rate[:3] + ssrc.to_bytes(4, "big")
            for rate in (huge, none)
        ),
        rtcp.transport_feedback(1, ssrc, b"\xff" * 400),
        rtcp.bye(ssrc),
        rtcp.nack(1, ssrc, range(0, 65_536, 256)),
        *[rtcp.pli(1, ssrc)] * 50,
    ):
        liar.send_rtcp(said)
    for seq in range(5):
        liar.send_rtp(rtp.build(102, True, seq, 7, shot.ssrc, b"\x65 a picture of my own"))
    for _ in range(3):
        await goes_on(shot, viewer)
    assert is_gapless(liar.video())
    assert not [packet for packet in viewer.video() if b"my own" in packet.payload]


async def test_what_has_not_left_yet_is_not_sent_again(node, shot, viewer):
    last = viewer.video()[-1]
    ahead = [last.seq + step & 0xFFFF for step in range(1, 5)]
    viewer.send_rtcp(rtcp.nack(1, last.ssrc, ahead))
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    async with asyncio.timeout(30):
        while session.counts["not_resent"] != 4:
            await asyncio.sleep(0.01)
    await goes_on(shot, viewer)


# Offers and fragments


@pytest.mark.parametrize("many", ["m-lines", "candidates", "codecs", "layers"])
async def test_an_offer_that_goes_on_for_ever_is_refused_or_cut_in_no_time(http, make_offer, many):
    text = make_offer("sendonly", video=("VP8",))
    section = text[text.index("m=audio") :]
    line = {
        "m-lines": "",
        "candidates": "a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n" * 1_000,
        "codecs": "".join(
            f"a=rtpmap:{n % 128} X{n}/90000\r\na=fmtp:{n % 128} a=b;c\r\n" for n in range(1_000)
        ),
        "layers": "".join(f"a=rid:{n} send\r\n" for n in range(1_000))
        + "a=simulcast:send "
        + ";".join(map(str, range(1_000)))
        + "\r\n",
    }[many]
    text = text.replace("a=mid:0\r\n", "a=mid:0\r\n" + line) + (section * 150 if many == "m-lines" else "")
    async with asyncio.timeout(30):
        response = await http.post("/whip?ticket=publish.show.k", content=text, headers=SDP)
    assert response.status_code == (400 if many == "m-lines" else 201)
    assert len(response.content) < 4_000


async def test_a_session_is_found_under_its_own_kind_alone(http, shot, viewer):
    for peer, wrong in ((viewer, "/whip/"), (shot.peer, "/whep/")):
        name = peer.location.rpartition("/")[2]
        for method in ("DELETE", "GET", "HEAD"):
            assert (await http.request(method, wrong + name)).status_code == 404
        patched = await http.patch(wrong + name, content="a=mid:0\r\n", headers={**FRAGMENT, "if-match": "*"})
        assert patched.status_code == 404
    await goes_on(shot, viewer)


async def test_candidates_of_another_generation_are_nobodys(http, node, shot, viewer):
    """A ufrag that is not the session's, without a password, starts nothing (RFC 8838 11)."""
    tag = viewer.response.headers["etag"]
    fragment = "a=ice-ufrag:other\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    candidate = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
    response = await http.patch(
        viewer.location, content=fragment + candidate, headers={**FRAGMENT, "if-match": tag}
    )
    assert response.status_code == 204
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    assert session.peer.ice.remote_ufrag == "light"
    await goes_on(shot, viewer)
