"""A viewer whose network lets nothing through but TURN: told of the server by `Link`, it plays."""

import asyncio
import re

import httpx
import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from stream.node import IceServer, Node, NodeSettings

from .turn_server import TurnServer

SDP = {"content-type": "application/sdp"}


@pytest.fixture
async def turn():
    server = await TurnServer("viewer", 'pass"word').start()
    yield server
    server.stop()


@pytest.fixture
async def node(admission, observer, turn):
    """As conftest's, with the TURN server among its settings."""
    server = IceServer(f"turn:127.0.0.1:{turn.port}?transport=udp", "viewer", 'pass"word')
    running = Node(NodeSettings(ice_servers=(server,)), admission, observer)
    await running.start()
    yield running
    await running.stop()


def ice_server(response):
    """From the Link header (RFC 9725 4.6), as a client reads it."""
    (link,) = [held for held in response.headers.get_list("link") if 'rel="ice-server"' in held]
    url = link[1 : link.index(">")]
    values = dict(re.findall(r'(\w[\w-]*)="((?:[^"\\]|\\.)*)"', link))
    values = {name: re.sub(r"\\(.)", r"\1", value) for name, value in values.items()}
    assert values["credential-type"] == "password"
    return RTCIceServer(urls=url, username=values["username"], credential=values["credential"])


async def test_a_viewer_plays_through_the_turn_server_that_it_is_told_of(
    node, light, camera, turn, make_offer
):
    publisher = await light().join("publish.show.key", video=("VP8",))
    shot = camera(publisher, codec="VP8")
    shot.frame(key=True)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
        async with asyncio.timeout(30):
            while (
                told := await http.post(
                    "/whep?ticket=view.show", content=make_offer("recvonly", video=("VP8",)), headers=SDP
                )
            ).status_code != 201:
                await asyncio.sleep(0.02)
        await http.delete(told.headers["location"])
        configuration = RTCConfiguration(
            iceServers=[ice_server(told)], iceTransportPolicy=RTCIceTransportPolicy.RELAY
        )
        viewer = RTCPeerConnection(configuration)
        viewer.addTransceiver("video", direction="recvonly")
        await viewer.setLocalDescription(await viewer.createOffer())
        assert " typ relay" in viewer.localDescription.sdp
        assert " typ host" not in viewer.localDescription.sdp
        answer = await http.post("/whep?ticket=view.show", content=viewer.localDescription.sdp, headers=SDP)
        await viewer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        async with asyncio.timeout(30):
            while viewer.connectionState != "connected":
                await asyncio.sleep(0.02)
        (session,) = [held for held in node.sessions if held.kind == "whep"]
        heard = turn.relayed["in"]
        for _ in range(5):
            shot.frame()
        async with asyncio.timeout(30):
            while turn.relayed["in"] < heard + 15:
                await asyncio.sleep(0.02)
        assert turn.refused >= 1, "credentials were asked for"
        assert session.peer.ice.selected[1] != turn.port
        await viewer.close()
