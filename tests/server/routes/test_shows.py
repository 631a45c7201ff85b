"""Shows for their audience, and who is let in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import icalendar
import pytest

from server import media
from server.auth.tokens import digest, new_token
from server.media import RedisAdmission
from server.store import shows as store
from server.store import staff
from server.store.pool import transaction
from server.store.shows import Show
from stream.ports import BroadcastState, Purpose

from .conftest import Web


async def make_show(web: Web, visibility: str = "public", title: str = "Autumn sale") -> Show:
    async with transaction(web.deps.pool) as db:
        shop = await staff.the_shop(db)
        assert shop is not None
        starts_at = datetime.now(UTC) + timedelta(hours=1)
        return await store.add_show(db, shop.id, title, starts_at, visibility=visibility)


async def make_pass(web: Web, show: Show) -> str:
    token = new_token()
    async with transaction(web.deps.pool) as db:
        host = await db.fetchval("SELECT id FROM users LIMIT 1")
        await store.add_pass(db, show.id, digest(token), "", host, None)
    return token


async def beat(web: Web, *shows: Show, state: BroadcastState = BroadcastState.LIVE, viewers: int = 3) -> None:
    carried = {show.id: media.Carried(state, viewers, is_origin=True) for show in shows}
    await web.deps.nodes.beat(media.Node(id="n1", url="http://stream.test:2", broadcasts=carried))


async def test_the_front_page_lists_public_shows_by_state(web: Web) -> None:
    live, coming, over = [await make_show(web, title=t) for t in ("On air", "Next", "Gone")]
    await make_show(web, "unlisted", "Hidden")
    await make_show(web, "invited", "For friends")
    async with transaction(web.deps.pool) as db:
        for show in (live, over):
            await store.set_show_state(db, show.id, "live", datetime.now(UTC))
        await store.set_show_state(db, over.id, "ended", datetime.now(UTC))
    await beat(web, live)
    cards = (await web.browser().get("/api/shows")).json()
    titles = {name: {card["title"] for card in cards[name]} for name in cards}
    assert "On air" in titles["live"]
    assert "Next" in titles["upcoming"]
    assert "Gone" in titles["ended"]
    assert not {"Hidden", "For friends"} & set().union(*titles.values())
    card = next(card for card in cards["live"] if card["id"] == live.id)
    assert (card["picture"], card["viewers"]) == ("live", 3)
    assert coming.id in {card["id"] for card in cards["upcoming"]}
    assert card["starts_at"].endswith("Z")


async def test_a_show_says_where_its_picture_is_but_no_key(web: Web) -> None:
    show = await make_show(web)
    found = (await web.browser().get(f"/api/shows/{show.id}")).json()
    assert found["whep_url"] == f"/whep/{show.playback_id}"
    assert found["can"] == {"host": False, "produce": False, "moderate": False}
    producer = await web.signed_in("producer")
    can = (await producer.get(f"/api/shows/{show.id}")).json()["can"]
    assert can == {"host": True, "produce": True, "moderate": True}


async def test_an_unknown_show_is_not_there(web: Web) -> None:
    browser = web.browser()
    answer = await browser.get("/api/shows/00000000-0000-7000-8000-000000000000")
    assert answer.json()["code"] == "no_such_show"
    assert (await browser.get("/api/shows/garbage")).json()["code"] == "not_found"


async def test_an_invited_show_wants_a_pass(web: Web) -> None:
    show = await make_show(web, "invited")
    given, guest = await make_pass(web, show), web.browser()
    path = f"/api/shows/{show.id}"
    assert (await guest.get(path)).json()["code"] == "pass_needed"
    assert (await guest.get(path, params={"pass": "wrong"})).json()["code"] == "pass_needed"
    assert (await guest.get(path, params={"pass": given})).status_code == 200
    assert (await guest.get(path, headers={"authorization": f"Bearer {given}"})).status_code == 200
    viewer, moderator = await web.signed_in(), await web.signed_in("moderator")
    assert (await viewer.get(path)).status_code == 401
    assert (await moderator.get(path)).status_code == 200


async def test_an_unlisted_shows_link_is_enough(web: Web) -> None:
    show = await make_show(web, "unlisted")
    assert (await web.browser().get(f"/api/shows/{show.id}")).status_code == 200


async def test_a_room_ticket_says_who_comes_and_is_spent_once(web: Web) -> None:
    show, browser = await make_show(web), await web.signed_in("moderator", name="Ada")
    answer = (await browser.post(f"/api/shows/{show.id}/room-ticket", json={})).json()
    assert answer["expires_in_s"] == 60
    ticket = await web.deps.tickets.redeem_room(answer["ticket"])
    assert ticket is not None
    assert (ticket.show_id, ticket.name, ticket.roles) == (show.id, "Ada", ("moderator",))
    assert await web.deps.tickets.redeem_room(answer["ticket"]) is None


async def test_a_guest_gets_a_room_ticket_only_with_a_pass(web: Web) -> None:
    public, invited = await make_show(web), await make_show(web, "invited")
    given, guest = await make_pass(web, invited), web.browser()
    open_door = await guest.post(f"/api/shows/{public.id}/room-ticket", json={})
    assert open_door.json()["code"] == "not_signed_in"
    path = f"/api/shows/{invited.id}/room-ticket"
    assert (await guest.post(path, json={})).json()["code"] == "pass_needed"
    answer = await guest.post(path, json={"pass": given})
    ticket = await web.deps.tickets.redeem_room(answer.json()["ticket"])
    assert ticket is not None
    assert ticket.user_id is None


# --- WHIP and WHEP


async def test_whep_sends_a_viewer_to_the_node_with_a_single_use_ticket(web: Web) -> None:
    show = await make_show(web)
    await beat(web, show)
    player = web.browser()
    answer = await player.post(f"/whep/{show.playback_id}", headers={"origin": "http://elsewhere.test"})
    assert answer.status_code == 307
    assert answer.headers["access-control-allow-origin"] == "*"
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == "http://stream.test:2/whep"
    ticket = parse_qs(location.query)["ticket"][0]
    admission = RedisAdmission(web.deps.tickets)
    grant = await admission.redeem(ticket)
    assert grant is not None
    assert (grant.broadcast, grant.purpose, grant.bearer_sha256) == (show.id, Purpose.VIEW, None)
    assert await admission.redeem(ticket) is None


async def test_whep_of_an_invited_show_wants_the_pass_as_bearer(web: Web) -> None:
    show = await make_show(web, "invited")
    given, player = await make_pass(web, show), web.browser()
    await beat(web, show)
    path = f"/whep/{show.playback_id}"
    assert (await player.post(path)).json()["code"] == "pass_needed"
    answer = await player.post(path, headers={"authorization": f"Bearer {given}"})
    ticket = parse_qs(urlsplit(answer.headers["location"]).query)["ticket"][0]
    grant = await RedisAdmission(web.deps.tickets).redeem(ticket)
    assert grant is not None
    assert grant.bearer_sha256 == hashlib.sha256(given.encode()).digest()


async def test_whep_without_show_or_node(web: Web) -> None:
    show, player = await make_show(web), web.browser()
    assert (await player.post("/whep/unknown")).json()["code"] == "no_such_show"
    answer = await player.post(f"/whep/{show.playback_id}")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_media_node")
    assert "retry-after" in answer.headers


async def test_preflights_pass(web: Web) -> None:
    answer = await web.browser().options("/whip", headers={"origin": "http://elsewhere.test"})
    assert answer.status_code == 204
    assert "authorization" in answer.headers["access-control-allow-headers"]


async def test_whip_with_a_stream_key(web: Web) -> None:
    show, encoder = await make_show(web), web.browser()
    await beat(web)
    async with transaction(web.deps.pool) as db:
        await store.rotate_stream_key(db, show.id, digest("hk_secret"), "cret", datetime.now(UTC))
    answer = await encoder.post("/whip", headers={"authorization": "Bearer hk_secret"})
    assert answer.status_code == 307
    assert "hk_secret" not in answer.headers["location"]
    ticket = parse_qs(urlsplit(answer.headers["location"]).query)["ticket"][0]
    grant = await RedisAdmission(web.deps.tickets).redeem(ticket)
    assert grant is not None
    assert (grant.broadcast, grant.purpose) == (show.id, Purpose.PUBLISH)
    assert grant.bearer_sha256 == hashlib.sha256(b"hk_secret").digest()


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer hp_x"}])
async def test_whip_with_a_wrong_key(web: Web, headers: dict[str, str]) -> None:
    answer = await web.browser().post("/whip", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_stream_key")
    assert "www-authenticate" in answer.headers


async def test_whip_ends_with_the_show(web: Web) -> None:
    show, host = await make_show(web), await web.signed_in("host")
    await beat(web)
    token = (await host.post(f"/api/shows/{show.id}/publish-ticket", json={})).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    assert (await web.browser().post("/whip", headers=headers)).status_code == 307
    async with transaction(web.deps.pool) as db:
        await store.set_show_state(db, show.id, "live", datetime.now(UTC))
        await store.set_show_state(db, show.id, "ended", datetime.now(UTC))
    ended = await web.browser().post("/whip", headers=headers)
    assert (ended.status_code, ended.json()["code"]) == (409, "show_ended")


async def test_who_may_publish(web: Web) -> None:
    show = await make_show(web)
    path = f"/api/shows/{show.id}/publish-ticket"
    assert (await web.browser().post(path)).json()["code"] == "not_signed_in"
    assert (await (await web.signed_in()).post(path)).json()["code"] == "not_allowed"
    assert (await (await web.signed_in("moderator")).post(path)).json()["code"] == "not_allowed"
    mine, other = await web.signed_in("host"), await web.signed_in("host")
    host_id = (await mine.get("/api/me")).json()["user"]["id"]
    async with transaction(web.deps.pool) as db:
        await store.change_show(db, show.id, {"host_id": host_id})
    assert (await mine.post(path)).json()["url"] == "/whip"
    assert (await other.post(path)).json()["code"] == "not_your_show"


async def test_the_calendar_entry_keeps_its_uid(web: Web) -> None:
    show = await make_show(web)
    answer = await web.browser().get(f"/api/shows/{show.id}/calendar.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    event = icalendar.Calendar.from_ical(answer.text).walk("VEVENT")[0]
    assert str(event["uid"]) == f"{show.id}@hawker"
    assert event["sequence"] == 0
    assert abs(event.decoded("dtstart") - show.starts_at) < timedelta(seconds=1)
