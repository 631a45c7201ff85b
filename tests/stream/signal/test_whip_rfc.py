"""RFC 9725 line by line: what it asks of an endpoint and a session, each under its section.

What it asks of clients alone is not here. Redirects (4.5) are the public address's: tests/server/routes.
"""

import asyncio
import hashlib

import httpx
import pytest

from stream.node import IceServer, Node, NodeSettings
from stream.signal.answer import read_publisher_offer
from stream.signal.errors import SdpError, UnsupportedError
from stream.signal.sdp import parse

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}
NEW = "a=ice-ufrag:next\r\na=ice-pwd:0123456789012345678901\r\n"
CANDIDATE = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n"
POST = "/whip?ticket=publish.show.k"


@pytest.fixture
async def created(http, make_offer):
    response = await http.post(POST, content=make_offer("sendonly"), headers=SDP)
    assert response.status_code == 201
    return response


async def test_4_1_a_get_of_the_endpoint_has_no_content_and_succeeds(http):
    response = await http.get("/whip")
    assert (response.status_code, response.content) == (204, b"")


async def test_4_1_a_get_of_a_session_has_no_content_and_succeeds(http, created):
    response = await http.get(created.headers["location"])
    assert (response.status_code, response.content) == (204, b"")
    assert (await http.get("/whip/" + "0" * 32)).status_code == 404


async def test_4_1_failures_are_told_as_problem_details(http):
    for refused in (await http.post(POST, content="x", headers=SDP), await http.put("/whip")):
        assert refused.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= refused.json().keys()


async def test_4_2_the_answer_is_201_with_its_type_location_and_tag(created):
    assert created.headers["content-type"] == "application/sdp"
    assert created.text.startswith("v=0\r\n")
    assert created.headers["location"]
    etag = created.headers["etag"]
    assert etag.startswith('"')
    assert etag.endswith('"'), "a strong tag"


@pytest.mark.parametrize("direction", ["sendonly", "sendrecv"])
async def test_4_2_the_answer_is_recvonly(http, make_offer, direction):
    response = await http.post(POST, content=make_offer(direction), headers=SDP)
    assert [section.direction for section in parse(response.text).sections] == ["recvonly", "recvonly"]


@pytest.mark.parametrize("direction", ["recvonly", "inactive"])
async def test_4_2_other_directions_are_refused(http, make_offer, direction):
    response = await http.post(POST, content=make_offer(direction), headers=SDP)
    assert response.status_code == 422


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/sdpx", ""])
async def test_4_2_another_content_type_is_refused(http, make_offer, content_type):
    response = await http.post(POST, content=make_offer("sendonly"), headers={"content-type": content_type})
    assert response.status_code == 415


@pytest.mark.parametrize("content_type", ["application/sdp; charset=utf-8", "Application/SDP"])
async def test_4_2_the_same_type_in_other_words_is_taken(http, make_offer, content_type):
    response = await http.post(POST, content=make_offer("sendonly"), headers={"content-type": content_type})
    assert response.status_code == 201


@pytest.mark.parametrize("body", ["", "hello", "v=0", "v=0\r\nm=video", "v=0\r\na=x\rb=y\r\nm=x 1 y z\r\n"])
async def test_4_2_a_malformed_offer_is_400(http, body):
    assert (await http.post(POST, content=body, headers=SDP)).status_code == 400


async def test_4_2_delete_ends_the_session_and_frees_it(http, created, node):
    location = created.headers["location"]
    response = await http.delete(location, headers={"if-match": '"of long ago"'})
    assert response.status_code == 200, "tags are ignored where no ICE session must match"
    assert len(node.sessions) == 0
    assert (await http.delete(location)).status_code == 404


async def test_4_2_a_terminated_session_sends_nothing_more_and_closes_dtls(light, camera):
    publisher = await light().join("publish.show.k")
    camera(publisher).frame(key=True)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 3)
    await viewer.delete()
    await viewer.until(lambda: viewer.is_closed)
    heard = len(viewer.rtp)
    camera(publisher, seq=200).frame(key=True)
    await asyncio.sleep(0.05)
    assert len(viewer.rtp) == heard


@pytest.mark.parametrize("path", ["/whip", "/whip/0123", "/whep/0123/sse", "/whep/0123/layer"])
async def test_4_2_options_serve_cors_and_say_what_may_be_posted(http, path):
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    response = await http.options(path, headers=asked)
    assert response.status_code == 200
    assert response.headers["accept-post"] == "application/sdp"
    assert response.headers["access-control-allow-origin"] == "*"
    assert {"POST", "PATCH", "DELETE"} <= set(response.headers["access-control-allow-methods"].split(", "))
    allowed = response.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "if-match"))


async def test_4_2_a_page_may_read_what_it_needs(http, created):
    refused = await http.post(POST, content="x", headers=SDP)
    for response in (created, refused, await http.put("/whip")):
        exposed = response.headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in ("location", "etag", "link", "retry-after"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/whip", {"POST", "OPTIONS", "GET", "HEAD"}),
        ("PATCH", "/whip", {"POST", "OPTIONS", "GET", "HEAD"}),
        ("DELETE", "/whip", {"POST", "OPTIONS", "GET", "HEAD"}),
        ("POST", "/whip/0123", {"PATCH", "DELETE", "OPTIONS", "GET", "HEAD"}),
        ("PUT", "/whip/0123", {"PATCH", "DELETE", "OPTIONS", "GET", "HEAD"}),
        ("PATCH", "/whep/0123/layer", {"POST", "DELETE", "OPTIONS"}),
    ],
)
async def test_4_2_other_methods_are_405_and_the_right_ones_named(http, method, path, allowed):
    response = await http.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    assert response.json()["code"] == "method_not_allowed"


# 4.3.1 PATCH


@pytest.mark.parametrize("content_type", ["application/sdp", "text/plain", ""])
async def test_4_3_1_a_patch_of_another_type_is_refused(http, created, content_type):
    headers = {"content-type": content_type, "if-match": created.headers["etag"]}
    assert (await http.patch(created.headers["location"], content=CANDIDATE, headers=headers)).is_client_error


@pytest.mark.parametrize(
    "fragment",
    [
        "hello",
        "v=0\r\n",
        "a=candidate:1 1 udp",
        "a=mid:0\0",
        "a=candidate:\r\n",
        "a=ice-ufrag:x\r\na=ice-pwd:0123456789012345678901",
        "a=ice-ufrag:next\r\na=ice-pwd:short",
        "a=ice-ufrag:ne xt\r\na=ice-pwd:0123456789012345678901",
    ],
)
async def test_4_3_1_a_malformed_fragment_is_refused(http, created, fragment):
    headers = {**FRAGMENT, "if-match": created.headers["etag"]}
    response = await http.patch(created.headers["location"], content=fragment, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_fragment")


async def test_4_3_1_a_missing_tag_is_428_an_outdated_one_412(http, created):
    location = created.headers["location"]
    assert (await http.patch(location, content=CANDIDATE, headers=FRAGMENT)).status_code == 428
    for tag in ('"old"', "old", created.headers["etag"].strip('"'), "W/" + created.headers["etag"]):
        response = await http.patch(location, content=CANDIDATE, headers={**FRAGMENT, "if-match": tag})
        assert response.status_code == 412, tag


async def test_4_3_1_one_tag_of_several_matches(http, created):
    headers = {**FRAGMENT, "if-match": f'"old", {created.headers["etag"]}'}
    assert (await http.patch(created.headers["location"], content=CANDIDATE, headers=headers)).is_success


# 4.3.2 Trickle ICE


@pytest.mark.parametrize(
    "candidate",
    [
        "",
        "a=candidate:1 1 udp 1 10.0.0.1 5 typ host generation 0 ufrag light\r\n",
        "a=candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n",
        "a=candidate:1 1 sctp 1 10.0.0.1 5 typ host\r\n",
        "a=candidate:1 1 udp 1 8d3b-not-resolvable.local 5 typ host\r\na=end-of-candidates\r\n",
    ],
)
async def test_4_3_2_trickled_candidates_are_204_without_a_tag(http, created, candidate):
    own = "a=ice-ufrag:light\r\na=ice-pwd:0123456789012345678901\r\n"
    headers = {**FRAGMENT, "if-match": created.headers["etag"]}
    response = await http.patch(created.headers["location"], content=own + candidate, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert "etag" not in response.headers


async def test_4_3_2_the_answer_has_all_our_candidates(created):
    for section in parse(created.text).sections:
        assert list(section.all("candidate"))
        assert section.get("end-of-candidates") is not None


# 4.3.3 ICE restarts


@pytest.mark.parametrize("if_match", ["*", '"*"', "the tag"])
async def test_4_3_3_new_credentials_restart_ice_and_get_ours(http, created, if_match):
    location, etag = created.headers["location"], created.headers["etag"]
    headers = {**FRAGMENT, "if-match": etag if if_match == "the tag" else if_match}
    response = await http.patch(location, content="a=group:BUNDLE 0\r\n" + CANDIDATE + NEW, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert response.headers["etag"] != etag
    lines = response.text.split("\r\n")
    ours = dict(line[2:].split(":", 1) for line in lines if line.startswith(("a=ice-u", "a=ice-p")))
    assert ours.keys() == {"ice-ufrag", "ice-pwd"}
    assert ours["ice-ufrag"] not in created.text
    assert lines[0] == "a=ice-lite", "as the answer said"
    assert {"m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=end-of-candidates"} <= set(lines)
    assert any(line.startswith("a=candidate:") for line in lines)
    stale = await http.patch(location, content=CANDIDATE, headers={**FRAGMENT, "if-match": etag})
    assert stale.status_code == 412
    fresh = {**FRAGMENT, "if-match": response.headers["etag"]}
    assert (await http.patch(location, content=CANDIDATE + NEW, headers=fresh)).status_code == 204


async def test_4_3_3_restarts_that_fail_keep_the_session_and_its_credentials(http, light, camera, node):
    publisher = await light().join("publish.show.k")
    headers = {**FRAGMENT, "if-match": "*"}
    assert (await http.patch(publisher.location, content=CANDIDATE, headers=headers)).status_code == 400
    for _ in range(5):
        assert (await http.patch(publisher.location, content=NEW, headers=headers)).status_code == 200
    (session,) = node.sessions
    assert len(session.peer.ice.generations) == 2, "what came to nothing is forgotten"
    assert len(node.sessions._ingress._by_ufrag) == 2
    publisher.check()
    await publisher.until(lambda: publisher.stun_answers == 2)
    camera(publisher).frame(key=True)
    viewer = await light().join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 3)


# 4.4 WebRTC constraints


async def test_4_4_1_everything_is_bundled_with_rtcp(created):
    answer = parse(created.text)
    assert answer.session.get("group") == "BUNDLE 0 1"
    for section in answer.sections:
        assert section.get("rtcp-mux") is not None
        assert section.get("rtcp-mux-only") is not None
    assert len({section.get("ice-ufrag") for section in answer.sections}) == 1


def test_4_4_1_m_lines_that_come_with_their_bundle_alone_are_taken(make_offer):
    text = (
        make_offer("sendonly")
        .replace("m=audio 9", "m=audio 0")
        .replace("a=mid:1", "a=mid:1\r\na=bundle-only")
    )
    assert read_publisher_offer(text).audio is not None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text + text[text.index("m=video") : text.index("m=audio")], "too_many_tracks"),
        (
            lambda text: text.replace("a=mid:0", "a=mid:0\r\na=msid:one v").replace(
                "a=mid:1", "a=mid:1\r\na=msid:two a"
            ),
            "too_many_streams",
        ),
        (lambda text: text.replace("opus/48000/2", "PCMU/8000"), "audio_unsupported"),
        (lambda text: "a=inactive".join(text.rsplit("a=sendonly", 1)), "audio_unsupported"),
        (lambda text: text.replace("H264/", "H266/"), "unsupported_media"),
    ],
)
def test_4_4_2_and_3_what_can_not_be_taken_whole_is_refused(make_offer, change, code):
    with pytest.raises(UnsupportedError) as refused:
        read_publisher_offer(change(make_offer("sendonly")))
    assert (refused.value.code, refused.value.status) == (code, 422)


@pytest.mark.parametrize("rtx", [False, True])
def test_4_4_1_streams_in_one_bundle_have_payload_types_of_their_own(make_offer, rtx):
    text = make_offer("sendonly", rtx=rtx)
    with pytest.raises(SdpError, match="payload type"):
        read_publisher_offer(text.replace("111", "103" if rtx else "102"))


def test_4_4_2_one_stream_is_fine(make_offer):
    text = (
        make_offer("sendonly")
        .replace("a=mid:0", "a=mid:0\r\na=msid:s v")
        .replace("a=mid:1", "a=mid:1\r\na=msid:s a")
    )
    assert read_publisher_offer(text).audio is not None


def test_4_4_2_a_stream_without_a_name_is_still_an_offer(make_offer):
    """Found by fuzzing."""
    assert (
        read_publisher_offer(make_offer("sendonly").replace("a=mid:0", "a=mid:0\r\na=msid:")).audio
        is not None
    )


@pytest.mark.parametrize(
    ("setup", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
async def test_4_4_4_either_dtls_role(http, make_offer, setup, ours):
    response = await http.post(POST, content=make_offer("sendonly", setup=setup), headers=SDP)
    assert {section.get("setup") for section in parse(response.text).sections} == {ours}


async def test_4_4_5_ice_lite_says_so(created):
    assert parse(created.text).session.get("ice-lite") is not None


# 4.5 load, 4.6 ICE servers, 4.7 who may


async def test_4_5_overload_is_503_with_retry_after(admission, observer, make_offer):
    node = Node(NodeSettings(max_sessions=0), admission, observer)
    await node.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
            full = await http.post(POST, content=make_offer("sendonly"), headers=SDP)
    finally:
        await node.stop()
    assert full.status_code == 503
    assert int(full.headers["retry-after"]) > 0


async def test_4_6_ice_servers_are_links_in_the_answer_and_not_in_a_preflight(
    admission, observer, make_offer
):
    servers = (
        IceServer("stun:stun.example.net"),
        IceServer("turn:turn.example.net?transport=udp", "user", 'my"Pass\\word'),
    )
    node = Node(NodeSettings(ice_servers=servers), admission, observer)
    await node.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
            created = await http.post(POST, content=make_offer("sendonly"), headers=SDP)
            asked = await http.options("/whip")
            preflight = await http.options("/whip", headers={"access-control-request-method": "POST"})
    finally:
        await node.stop()
    assert [link for link in created.headers.get_list("link") if "ice-server" in link] == [
        '<stun:stun.example.net>; rel="ice-server"',
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; '
        'credential="my\\"Pass\\\\word"; credential-type="password"',
    ]
    assert asked.headers.get_list("link") == ['<stun:stun.example.net>; rel="ice-server"']
    assert "link" not in preflight.headers


async def test_4_7_a_bearer_token_opens_and_is_wanted_ever_after(http, make_offer, admission):
    admission.bearers["publish.show.k"] = hashlib.sha256(b"publish.show.k").digest()
    bearer = {"authorization": "Bearer publish.show.k"}
    refused = await http.post("/whip", content=make_offer("sendonly"), headers=SDP)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    created = await http.post("/whip", content=make_offer("sendonly"), headers={**SDP, **bearer})
    assert created.status_code == 201
    location, tag = created.headers["location"], {**FRAGMENT, "if-match": created.headers["etag"]}
    assert (await http.patch(location, content=CANDIDATE, headers=tag)).status_code == 401
    assert (await http.delete(location)).status_code == 401
    assert (await http.options(location)).status_code == 200, "preflights carry none"
    assert (await http.patch(location, content=CANDIDATE, headers={**tag, **bearer})).status_code == 204
    assert (await http.delete(location, headers=bearer)).status_code == 200


async def test_4_9_no_extension_is_required_and_unknown_addresses_are_404(http, created):
    assert not [link for link in created.headers.get_list("link") if "urn:ietf:params:whip:ext" in link]
    assert (await http.post(created.headers["location"] + "/unknown", json={})).status_code == 404
