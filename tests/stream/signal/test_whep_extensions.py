"""WHEP beyond offer and answer: the counter-offer, and server-sent events."""

import asyncio
import json

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from stream.signal import counter, events
from stream.signal.errors import MalformedError, UnavailableError
from stream.signal.events import EventStream, EventStreams, read_wanted
from stream.signal.resources import Resources

SDP = {"content-type": "application/sdp"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def unfit(make_offer):
    """An offer without the codec on air."""
    return make_offer("recvonly", video=("H264",))


async def test_an_offer_that_will_not_do_is_met_by_ours_and_its_answer_plays(http, unfit, light, shot):
    countered = await http.post("/whep?ticket=view.show", content=unfit, headers=SDP)
    assert countered.status_code == 406
    assert countered.headers["content-type"] == "application/sdp"
    assert countered.headers["location"]
    assert countered.headers["etag"]
    assert "application/sdp" in countered.headers["accept-patch"]
    lines = countered.text.splitlines()
    assert {"a=setup:actpass", "a=sendonly", "a=ice-lite"} <= set(lines)
    assert next(line for line in lines if line.startswith("a=rtpmap")).endswith("VP8/90000")

    viewer = light()
    viewer.answer, viewer.location = countered.text, countered.headers["location"]
    answer = _answer(countered.text, viewer)
    accepted = await http.patch(viewer.location, content=answer, headers=SDP)
    assert (accepted.status_code, accepted.content) == (204, b"")
    await viewer.connect()
    await viewer.until(lambda: len(viewer.video()) == 3)
    again = await http.patch(viewer.location, content=answer, headers=SDP)
    assert (again.status_code, again.json()["code"]) == (409, "not_awaiting_answer")
    assert (await http.delete(viewer.location)).status_code == 200


def _answer(offer, viewer):
    """The light peer's: it takes what is offered, under its own name."""
    context = type(viewer).context
    own = {
        "a=ice-ufrag": "light",
        "a=ice-pwd": "0123456789012345678901",
        "a=fingerprint": f"sha-256 {context.fingerprint[1]}",
        "a=setup": "active",
    }
    lines = []
    for line in offer.splitlines():
        name = line.partition(":")[0]
        if name in ("a=candidate", "a=ssrc", "a=ssrc-group", "a=ice-lite", "a=msid"):
            continue
        lines.append(f"{name}:{own[name]}" if name in own else line.replace("a=sendonly", "a=recvonly"))
    return "\r\n".join(lines) + "\r\n"


async def test_aiortc_answers_our_offer(http, unfit, shot):
    countered = await http.post("/whep?ticket=view.show", content=unfit, headers=SDP)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await connection.setRemoteDescription(RTCSessionDescription(countered.text, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    accepted = await http.patch(
        countered.headers["location"], content=connection.localDescription.sdp, headers=SDP
    )
    assert accepted.status_code == 204
    async with asyncio.timeout(30):
        while connection.connectionState != "connected":
            await asyncio.sleep(0.02)
    await connection.close()


async def test_an_answer_that_will_not_do_leaves_the_counter_offer_standing(http, unfit, shot):
    countered = await http.post("/whep?ticket=view.show", content=unfit, headers=SDP)
    location = countered.headers["location"]
    assert (await http.patch(location, content=unfit, headers=SDP)).json()["code"] == "codec_not_offered"
    assert (await http.patch(location, content="hello", headers=SDP)).json()["code"] == "malformed_sdp"
    early = await http.get(f"{location}/sse")
    assert (early.status_code, early.json()["code"]) == (409, "awaiting_answer")
    assert (await http.head(location)).headers["etag"] == countered.headers["etag"]
    assert (await http.delete(location)).status_code == 200
    assert (await http.delete(location)).status_code == 404


async def test_an_unanswered_counter_offer_is_forgotten(http, unfit, shot, monkeypatch):
    monkeypatch.setattr("stream.sessions.ANSWER_WITHIN_S", 0.0)
    assert counter.ANSWER_WITHIN_S == 30
    countered = await http.post("/whep?ticket=view.show", content=unfit, headers=SDP)
    async with asyncio.timeout(30):
        while (await http.head(countered.headers["location"])).status_code != 404:
            await asyncio.sleep(0.05)


async def test_nothing_on_air_is_409_whatever_the_offer(http, make_offer):
    for video in (("H264",), ()):
        refused = await http.post(
            "/whep?ticket=view.nobody", content=make_offer("recvonly", video=video), headers=SDP
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "not_live")
        assert refused.headers["retry-after"]


class Reader:
    """Reads an event stream in the background."""

    def __init__(self, http, url):
        self.heard = []
        self.ended = False
        self._task = asyncio.create_task(self._read(http, url))

    async def _read(self, http, url):
        async with http.stream("GET", url, headers={"accept": "text/event-stream"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    self.heard.append((event, json.loads(value)))
        self.ended = True

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition(self.heard):
                await asyncio.sleep(0.02)

    async def stop(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_viewer_hears_how_things_stand_and_every_change(http, light, shot, node):
    viewer = await light().join("view.show", video=("VP8",))
    link = next(link for link in viewer.response.headers.get_list("link") if "server-sent-events" in link)
    url = link[1 : link.index(">")]
    assert 'rel="urn:ietf:params:whep:ext:core:server-sent-events"' in link
    assert 'events="active,inactive,layers,reconnect,viewercount"' in link
    subscribed = await http.post(url, content='["active", "inactive", "viewercount"]', headers=JSON)
    assert subscribed.status_code == 201
    reader = Reader(http, subscribed.headers["location"])
    await reader.until(lambda heard: len(heard) == 2)
    assert reader.heard == [("active", {}), ("viewercount", {"viewercount": 1})]
    second = await light().join("view.show", video=("VP8",))
    await reader.until(lambda heard: ("viewercount", {"viewercount": 2}) in heard)
    await shot.peer.delete()
    await reader.until(lambda heard: ("inactive", {}) in heard)
    assert not [event for event, _ in reader.heard if event == "layers"], "it was not asked for"
    await second.delete()
    assert (await http.delete(url)).status_code == 200
    await reader.until(lambda _: reader.ended)
    assert len(node.sessions.events) == 0


async def test_a_reader_that_goes_away_leaves_nothing(http, light, shot, node):
    viewer = await light().join("view.show", video=("VP8",))
    reader = Reader(http, f"{viewer.location}/sse?events=viewercount")
    await reader.until(lambda heard: heard)
    assert len(node.sessions.events) == 1
    await reader.stop()
    async with asyncio.timeout(30):
        while len(node.sessions.events):
            await asyncio.sleep(0.02)


async def test_a_reader_that_goes_before_its_first_byte_leaves_nothing(light, shot, node):
    viewer = await light().join("view.show", video=("VP8",))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": httpx.URL(viewer.location).path + "/sse",
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    held = []

    async def gone():
        held.append(len(node.sessions.events))
        return {"type": "http.disconnect"}

    async def unheard(_):
        await asyncio.Event().wait()

    resources = Resources(node.sessions, None, public_base_url="", ice_servers=(), healthz=None, metrics=None)
    async with asyncio.timeout(30):
        await resources.app(scope, gone, unheard)
    assert held == [1]
    assert len(node.sessions.events) == 0


async def test_a_draining_node_asks_its_viewers_to_reconnect(http, light, shot, node):
    viewer = await light().join("view.show", video=("VP8",))
    reader = Reader(http, f"{viewer.location}/sse?events=reconnect")
    async with asyncio.timeout(30):
        while not len(node.sessions.events):
            await asyncio.sleep(0.02)
    await node.drain(1)
    await reader.until(lambda _: reader.ended)
    assert ("reconnect", {}) in reader.heard


def test_what_a_client_may_ask_for():
    assert read_wanted("") == events.EVENTS
    assert read_wanted('["viewercount", "active"]') == ("active", "viewercount")
    for body in ("{}", '["active", "unheard-of"]', "[1]", "nonsense", "[" * 5000):
        with pytest.raises(MalformedError):
            read_wanted(body)


async def test_news_of_one_kind_replaces_what_nobody_has_read():
    stream = EventStream(events.EVENTS)
    for audience in range(100):
        stream.tell("viewercount", {"viewercount": audience})
    stream.tell("inactive", {})
    stream.tell("active", {})
    stream.close()
    assert [text async for text in stream.read()] == [
        'event: viewercount\ndata: {"viewercount": 99}\n\nevent: active\ndata: {}\n\n'
    ]


async def test_event_streams_are_bounded(monkeypatch):
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    streams, first = EventStreams(), EventStream(())
    streams.add("show", "one", first)
    with pytest.raises(UnavailableError):
        streams.add("show", "two", EventStream(()))
    streams.remove("show", "one", first)
    streams.remove("show", "one", first)
    assert len(streams) == 0


async def test_news_are_written_once_and_not_for_those_who_want_none(monkeypatch):
    written = []
    monkeypatch.setattr(events.json, "dumps", lambda data: written.append(data) or "{}")
    streams = EventStreams()
    for place in range(50):
        streams.add("show", f"session {place}", EventStream(("reconnect",)))
    streams.tell("show", [("viewercount", {"viewercount": 1}), ("active", {})])
    assert written == []
    for place in range(50):
        streams.add("show", f"another {place}", EventStream(("viewercount",)))
    streams.tell("show", [("viewercount", {"viewercount": 2}), ("active", {})])
    assert written == [{"viewercount": 2}]
    for place in range(50):
        streams.end("show", f"session {place}", reconnect=False)
        streams.end("show", f"another {place}", reconnect=False)
    assert len(streams) == 0
