"""WHIP and WHEP as HTTP sees them: statuses, headers, problem details."""

import hashlib

import httpx

from stream.node import IceServer, Node, NodeSettings

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}


def assert_problem(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    assert response.headers["access-control-allow-origin"] == "*"


async def test_a_session_is_created_found_and_deleted(http, make_offer, node):
    created = await http.post("/whip?ticket=publish.show.k", content=make_offer("sendonly"), headers=SDP)
    assert created.status_code == 201
    assert created.headers["content-type"] == "application/sdp"
    location, etag = created.headers["location"], created.headers["etag"]
    assert location.startswith(f"http://127.0.0.1:{node.http_port}/whip/")
    assert len(location.rpartition("/")[2]) == 32
    exposed = created.headers["access-control-expose-headers"]
    assert all(name in exposed for name in ("Location", "ETag", "Link", "Retry-After"))
    assert (await http.head(location)).headers["etag"] == etag
    assert (await http.delete(location)).status_code == 200
    assert_problem(await http.delete(location), 404, "session_not_found")
    assert node.sessions.counts() == {}, "a broadcast that never was live leaves nothing"


async def test_preflight_and_discovery(http):
    response = await http.options("/whep", headers={"origin": "https://shop.example"})
    assert response.status_code == 200
    assert response.headers["accept-post"] == "application/sdp"
    assert "PATCH" in response.headers["access-control-allow-methods"]
    assert "If-Match" in response.headers["access-control-allow-headers"]
    assert (await http.head("/whip")).status_code == 200


async def test_refusals(http, make_offer, admission):
    offer = make_offer("sendonly")
    assert_problem(
        await http.post("/whip?ticket=nonsense", content=offer, headers=SDP), 401, "ticket_invalid"
    )
    assert_problem(await http.post("/whip", content=offer, headers=SDP), 401, "ticket_invalid")
    assert_problem(
        await http.post("/whip?ticket=view.show", content=offer, headers=SDP), 401, "ticket_invalid"
    )
    assert_problem(await http.post("/whip?ticket=publish.a.b", content=offer), 415, "media_type")
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=b"v=0", headers=SDP), 400, "malformed_sdp"
    )
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=b"\xff\xfe", headers=SDP), 400, "malformed_text"
    )
    audio = make_offer("sendonly", video=())
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=audio, headers=SDP), 422, "video_missing"
    )
    unknown = make_offer("sendonly", video=("AV1",)).replace("AV1/", "H266/")
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=unknown, headers=SDP), 422, "unsupported_media"
    )
    assert_problem(await http.post("/elsewhere", content=offer, headers=SDP), 404, "not_found")
    admission.failure = ConnectionError("the store is down")
    response = await http.post("/whip?ticket=publish.a.b", content=offer, headers=SDP)
    assert_problem(response, 503, "admission_unavailable")
    assert response.headers["retry-after"]


async def test_a_fault_of_ours_is_told_like_any_other_and_logged(http, make_offer, node, monkeypatch, caplog):
    monkeypatch.setattr(node.sessions, "publish", lambda *_: 1 / 0)
    response = await http.post("/whip?ticket=publish.show.k", content=make_offer("sendonly"), headers=SDP)
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["access-control-allow-origin"] == "*", "else a page can't read it"
    assert "ZeroDivisionError" in caplog.text
    assert "publish.show.k" not in caplog.text


async def test_giant_bodies_are_cut_off(http):
    async def endless():
        for _ in range(1000):
            yield b"a=x\r\n" * 1000

    giant = b"v=0\r\n" * 100_000
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=giant, headers=SDP), 413, "body_too_large"
    )
    assert_problem(
        await http.post("/whip?ticket=publish.a.b", content=endless(), headers=SDP), 413, "body_too_large"
    )


async def test_the_bearer_that_began_a_session_is_wanted_again(http, make_offer, admission):
    admission.bearers["publish.show.k"] = hashlib.sha256(b"secret").digest()
    created = await http.post("/whip?ticket=publish.show.k", content=make_offer("sendonly"), headers=SDP)
    location = created.headers["location"]
    assert_problem(await http.delete(location), 401, "bearer_invalid")
    wrong = await http.delete(location, headers={"authorization": "Bearer other"})
    assert_problem(wrong, 401, "bearer_invalid")
    right = await http.delete(location, headers={"authorization": "Bearer secret"})
    assert right.status_code == 200


async def test_trickle_and_its_tags(http, make_offer):
    created = await http.post("/whip?ticket=publish.show.k", content=make_offer("sendonly"), headers=SDP)
    location, etag = created.headers["location"], created.headers["etag"]
    candidate = "m=video 9 x 0\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n"
    trickled = await http.patch(location, content=candidate, headers={**FRAGMENT, "if-match": etag})
    assert trickled.status_code == 204
    assert_problem(await http.patch(location, content=candidate, headers=FRAGMENT), 428, "etag_missing")
    stale = await http.patch(location, content=candidate, headers={**FRAGMENT, "if-match": '"old"'})
    assert_problem(stale, 412, "etag_stale")
    assert_problem(await http.patch(location, content=candidate, headers=SDP), 415, "media_type")
    broken = await http.patch(location, content="a=x", headers={**FRAGMENT, "if-match": "*"})
    assert_problem(broken, 400, "malformed_fragment")


async def test_an_ice_restart_gives_new_credentials_and_keeps_the_old_until_used(light, camera, http, node):
    publisher = await light().join("publish.show.k")
    before = publisher.answer
    restart = (
        "a=ice-ufrag:next\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    )
    response = await http.patch(publisher.location, content=restart, headers={**FRAGMENT, "if-match": "*"})
    assert response.status_code == 200
    fresh = dict(
        line[2:].split(":", 1)
        for line in response.text.splitlines()
        if line.startswith("a=ice-") and ":" in line
    )
    assert response.headers["etag"] == f'"{fresh["ice-ufrag"]}"'
    publisher.check()
    await publisher.until(lambda: publisher.stun_answers == 2)
    assert before == publisher.answer
    publisher.check(ufrag=fresh["ice-ufrag"], password=fresh["ice-pwd"])
    await publisher.until(lambda: publisher.stun_answers == 3)
    camera(publisher).frame(key=True)
    (session,) = node.sessions
    assert [own.ufrag for own in session.peer.ice.generations] == [fresh["ice-ufrag"]]


async def test_health_and_metrics_tell_what_is_there(http, light, camera):
    publisher = await light().join("publish.show.k")
    camera(publisher).frame(key=True)
    viewer = await light().join("view.show") if publisher.status == 201 else None
    health = (await http.get("/healthz")).json()
    assert health["status"] == "ok"
    assert set(health["parts"]) == {"udp", "tcp", "http", "fanout"}
    metrics = (await http.get("/metrics")).text
    for name in (
        "viewers",
        "publishers 1.0",
        "drops_total",
        "join_seconds_bucket",
        "packets_out_total",
        "frames_out_total",
        "viewer_events",
    ):
        assert f"hawker_stream_{name}" in metrics
    assert viewer is not None


async def test_ice_servers_and_announced_addresses_are_settings(admission, observer, make_offer):
    settings = NodeSettings(
        announced=(("198.51.100.7", 0), ("203.0.113.9", 7000)),
        public_base_url="https://media.example/n1",
        ice_servers=(IceServer("turn:turn.example", "user", "pass"), IceServer("stun:stun.example")),
        max_sessions=1,
    )
    node = Node(settings, admission, observer)
    await node.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
        created = await http.post("/whip?ticket=publish.s.k", content=make_offer("sendonly"), headers=SDP)
        full = await http.post("/whip?ticket=publish.t.k", content=make_offer("sendonly"), headers=SDP)
    await node.stop()
    assert f"198.51.100.7 {node.udp_port} typ host" in created.text
    assert "203.0.113.9 7000 typ host" in created.text
    assert created.headers["location"].startswith("https://media.example/n1/whip/")
    links = created.headers.get_list("link")
    assert links[0].startswith('<turn:turn.example>; rel="ice-server"; username="user"')
    assert_problem(full, 503, "overloaded")


async def test_discovery_tells_the_servers_that_need_no_password(admission, observer):
    settings = NodeSettings(
        ice_servers=(IceServer("turn:turn.example", "user", "pass"), IceServer("stun:stun.example"))
    )
    node = Node(settings, admission, observer)
    await node.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as http:
        for kind in ("whip", "whep"):
            response = await http.options(f"/{kind}")
            assert response.headers.get_list("link") == ['<stun:stun.example>; rel="ice-server"']
            assert (await http.head(f"/{kind}")).headers["accept-post"] == "application/sdp"
            assert (await http.get(f"/{kind}")).status_code == 204
    await node.stop()
