"""draft-ietf-wish-whep (of 2026) and its events line by line, each under its section.

What WHEP shares with WHIP word for word, ICE above all, is in test_whip_rfc.py; here it is tried once for a
viewer. The counter-offer (4.3.2) and what events say are in test_whep_extensions.py.
"""

import asyncio
import json

import pytest

from stream.signal.sdp import parse

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}
JSON = {"content-type": "application/json"}
POST = "/whep?ticket=view.show"
NEW = "a=ice-ufrag:next\r\na=ice-pwd:0123456789012345678901\r\n"
EXTENSION = "urn:ietf:params:whep:ext:core:"


@pytest.fixture
async def created(http, make_offer, shot):
    response = await http.post(POST, content=make_offer("recvonly", video=("VP8",)), headers=SDP)
    assert response.status_code == 201
    return response


def link(response, name):
    """The address of an extension, and its other attributes."""
    (found,) = [held for held in response.headers.get_list("link") if f'rel="{EXTENSION}{name}"' in held]
    address, _, rest = found.partition(">")
    return address[1:], rest


async def test_4_1_gets_have_no_content_and_succeed(http, created):
    for address in ("/whep", created.headers["location"]):
        response = await http.get(address)
        assert (response.status_code, response.content) == (204, b"")


async def test_4_2_head_tells_a_player_what_the_address_is(http):
    head, get = await http.head("/whep"), await http.get("/whep")
    assert head.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"] == "application/sdp"
    assert head.content == b""


async def test_4_3_1_the_answer_is_201_sendonly_with_location_and_tag(created):
    assert created.headers["content-type"] == "application/sdp"
    assert created.headers["location"]
    assert created.headers["etag"].startswith('"')
    assert {section.direction for section in parse(created.text).sections} == {"sendonly"}


async def test_4_3_2_the_counter_offer_is_406_sendonly_and_its_answer_204(http, make_offer, shot):
    response = await http.post(POST, content=make_offer("recvonly", video=("H264",)), headers=SDP)
    assert response.status_code == 406
    assert response.headers["content-type"] == "application/sdp"
    offered = parse(response.text)
    assert {section.direction for section in offered.sections} == {"sendonly"}
    assert {section.get("setup") for section in offered.sections} == {"actpass"}
    answer = make_offer("recvonly", video=("VP8",), setup="active")
    location = response.headers["location"]
    assert (await http.patch(location, content="no SDP", headers=SDP)).status_code == 400
    taken = await http.patch(location, content=answer, headers=SDP)
    assert (taken.status_code, taken.content) == (204, b"")


@pytest.mark.parametrize(
    ("content_type", "body", "status"), [("text/plain", "x", 415), ("application/sdp", "x", 400)]
)
async def test_4_3_4_what_is_no_offer_is_refused(http, shot, content_type, body, status):
    response = await http.post(POST, content=body, headers={"content-type": content_type})
    assert response.status_code == status


async def test_4_3_5_a_sendrecv_offer_is_taken_and_answered_sendonly(http, make_offer, shot):
    response = await http.post(POST, content=make_offer("sendrecv", video=("VP8",)), headers=SDP)
    assert response.status_code == 201
    assert {section.direction for section in parse(response.text).sections} == {"sendonly"}


async def test_4_3_6_the_answer_keeps_every_codec_in_common(http, make_offer, shot):
    offer = make_offer("recvonly", video=("H264", "VP8", "VP9", "AV1"))
    response = await http.post(POST, content=offer, headers=SDP)
    names = {format_.name for format_ in parse(response.text).sections[0].rtp_formats()}
    assert names == {"H264", "VP8", "VP9", "AV1"}
    assert parse(response.text).sections[0].rtp_formats()[0].name == "VP8", "what is on air comes first"


async def test_4_3_8_nobody_on_air_is_409_with_retry_after(http, make_offer):
    response = await http.post(POST, content=make_offer("recvonly"), headers=SDP)
    assert (response.status_code, response.json()["code"]) == (409, "not_live")
    assert int(response.headers["retry-after"]) > 0


async def test_4_4_delete_ends_the_session_whatever_its_tag(http, created, node):
    location = created.headers["location"]
    assert (await http.delete(location, headers={"if-match": '"other"'})).status_code == 200
    assert [session.kind for session in node.sessions] == ["whip"]
    for method in ("GET", "HEAD", "DELETE"):
        assert (await http.request(method, location)).status_code == 404


async def test_4_5_a_viewer_trickles_and_restarts_ice(http, created):
    location, etag = created.headers["location"], created.headers["etag"]
    trickled = await http.patch(location, content="", headers={**FRAGMENT, "if-match": etag})
    assert (trickled.status_code, "etag" in trickled.headers) == (204, False)
    restarted = await http.patch(location, content=NEW, headers={**FRAGMENT, "if-match": "*"})
    assert restarted.status_code == 200
    assert restarted.headers["etag"] != etag
    assert (await http.patch(location, content="", headers={**FRAGMENT, "if-match": etag})).status_code == 412
    assert (await http.patch(location, content="", headers=FRAGMENT)).status_code == 428


async def test_4_6_1_the_answer_is_bundled_and_muxed(created):
    for section in parse(created.text).sections:
        assert section.get("rtcp-mux-only") is not None


async def test_4_6_2_one_media_stream_for_sound_and_picture(created):
    streams = {section.get("msid").split()[0] for section in parse(created.text).sections}
    assert len(streams) == 1


async def test_4_10_extensions_are_links_and_their_unknown_neighbours_404(http, created):
    for name in ("server-sent-events", "layer"):
        address, _ = link(created, name)
        assert address.startswith(created.headers["location"] + "/")
    assert (await http.post(created.headers["location"] + "/ads", json={})).status_code == 404
    assert (await http.put(link(created, "layer")[0], json={})).status_code == 405


# Events: server-sent events


async def test_events_3_the_link_names_those_that_there_are(created):
    _, attributes = link(created, "server-sent-events")
    assert 'events="active,inactive,layers,reconnect,viewercount"' in attributes


@pytest.mark.parametrize("body", ['["active", "scte35"]', '["heartbeat"]', '{"events": []}', "active", "[1]"])
async def test_events_3_what_there_is_not_is_400_and_makes_no_stream(http, created, node, body):
    address, _ = link(created, "server-sent-events")
    assert (await http.post(address, content=body, headers=JSON)).status_code == 400
    assert len(node.sessions.events) == 0


async def test_events_3_a_stream_is_made_read_left_read_again_and_destroyed(http, created, node, light):
    address, _ = link(created, "server-sent-events")
    made = await http.post(address, content='["active", "viewercount"]', headers=JSON)
    assert made.status_code == 201
    stream = made.headers["location"]
    assert stream.startswith(address + "/")
    assert await first_event(http, stream) == ("active", {})
    assert len(node.sessions.events) == 1, "it waits for its reader to come back"
    assert (await light().join("view.show", video=("VP8",))).status == 201
    assert await first_event(http, stream) == ("viewercount", {"viewercount": 1})
    assert (await http.delete(stream)).status_code == 200
    assert (await http.get(stream)).status_code == 404
    assert (await http.delete(stream)).status_code == 404
    assert len(node.sessions.events) == 0


async def first_event(http, address):
    async with asyncio.timeout(30), http.stream("GET", address) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                return event, json.loads(value)
    return None


async def test_events_3_without_a_body_all_events_are_asked_for(http, created):
    made = await http.post(link(created, "server-sent-events")[0])
    assert made.status_code == 201


async def test_events_3_streams_end_with_their_session_and_are_its_own(http, created, node, make_offer):
    address, _ = link(created, "server-sent-events")
    stream = (await http.post(address, content="[]", headers=JSON)).headers["location"]
    other = await http.post(POST, content=make_offer("recvonly", video=("VP8",)), headers=SDP)
    elsewhere = link(other, "server-sent-events")[0] + stream[len(address) :]
    assert (await http.get(elsewhere)).status_code == 404
    await http.delete(created.headers["location"])
    assert (await http.get(stream)).status_code == 404
    assert len(node.sessions.events) == 0


async def test_events_3_of_a_sessions_many_the_oldest_end(http, created, node):
    address, _ = link(created, "server-sent-events")
    made = [(await http.post(address, content="[]", headers=JSON)) for _ in range(6)]
    assert [response.status_code for response in made] == [201] * 6
    assert len(node.sessions.events) == 4
    assert [(await http.head(held.headers["location"])).status_code for held in made] == [404] * 2 + [200] * 4


async def test_events_3_a_look_at_them_neither_makes_nor_ends_one(http, created, node):
    address, _ = link(created, "server-sent-events")
    stream = (await http.post(address, content="[]", headers=JSON)).headers["location"]
    for there in (address, stream):
        looked = await http.head(there)
        assert looked.status_code == 200
        assert looked.headers["content-type"].startswith("text/event-stream")
    assert (await http.head(address.replace(address.split("/")[-2], "0" * 32))).status_code == 404
    assert len(node.sessions.events) == 1


async def test_events_3_2_no_inactive_event_before_anything_was_active(http, created, shot, node):
    (viewer,) = [session for session in node.sessions if session.kind == "whep"]
    viewer.broadcast.gone_silent(asyncio.get_running_loop().time())
    stream = node.sessions.watch(viewer, ["active", "inactive", "viewercount"])
    heard = await anext(aiter(stream.read()))
    assert "inactive" not in heard
    assert "viewercount" in heard
    stream.close()


# Events: layer selection


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({}, 200, None),
        ({"mediaId": "0"}, 200, None),
        ({"mediaId": "0", "rid": None}, 200, None),
        ({"mediaId": "0", "rid": "none such"}, 422, "layer_unknown"),
        ({"mediaId": "1", "rid": "q"}, 422, "media_unknown"),
        ({"rid": 5}, 400, "malformed_json"),
        ([], 400, "malformed_json"),
        ("q", 400, "malformed_json"),
    ],
)
async def test_events_4_a_wish_for_a_layer_is_granted_or_refused(http, created, wish, status, code):
    response = await http.post(link(created, "layer")[0], json=wish)
    assert response.status_code == status
    assert code is None or response.json()["code"] == code
