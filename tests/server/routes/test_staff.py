"""People who work for the shop, and the shows they plan and run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import icalendar
import pytest

from server import media
from server.app.signals import SHOW_ENDED_CHANNEL
from server.auth.staff import create_owner
from server.store.pool import transaction

from .conftest import PASSWORD, Web
from .test_catalogue import UPLOAD, add_product, png
from .test_people import token_of

NOWHERE = "00000000-0000-7000-8000-000000000000"


def soon() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def plan(producer: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    body = {"title": "Evening", "starts_at": soon(), **more}
    answer = await producer.post("/api/staff/shows", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


# --- people


async def test_an_invitation_makes_staff_of_its_address_alone(web: Web) -> None:
    owner, guest = await web.signed_in("owner"), web.browser()
    invited = await owner.post(
        "/api/staff/invitations", json={"email": "New.Mod@example.com", "role": "moderator"}
    )
    assert invited.status_code == 201, invited.text
    (mail,) = await web.mails("new.mod@example.com")
    assert mail["values"]["role"] == "moderator"
    token = {"token": token_of(mail)}
    stranger = await web.signed_in()
    assert (await stranger.post("/api/invitations/accept", json=token)).json()["code"] == "other_address"
    body = {"email": "new.mod@example.com", "password": PASSWORD, "display_name": "Mo"}
    await guest.post("/api/auth/sign-up", json=body)
    accepted = await guest.post("/api/invitations/accept", json=token)
    assert accepted.json()["roles"] == ["moderator"]
    assert accepted.json()["email_verified"] is True
    assert (await guest.post("/api/invitations/accept", json=token)).json()["code"] == "bad_token"
    members = (await owner.get("/api/staff/members")).json()["members"]
    assert ("new.mod@example.com", "moderator") in [(m["email"], m["role"]) for m in members]


async def test_an_invitation_can_be_withdrawn(web: Web) -> None:
    owner = await web.signed_in("owner")
    made = (
        await owner.post("/api/staff/invitations", json={"email": "x@example.com", "role": "host"})
    ).json()
    listed = (await owner.get("/api/staff/invitations")).json()["invitations"]
    assert made["id"] in [one["id"] for one in listed]
    path = f"/api/staff/invitations/{made['id']}"
    assert (await owner.delete(path)).status_code == 204
    assert (await owner.delete(path)).json()["code"] == "no_such_invitation"


async def test_a_role_is_taken_away_and_the_last_owner_stays(web: Web) -> None:
    async with transaction(web.deps.pool) as db:
        await db.execute("DELETE FROM memberships")
    owner, producer = await web.signed_in("owner"), await web.signed_in("producer")
    mine = (await owner.get("/api/me")).json()["user"]["id"]
    theirs = (await producer.get("/api/me")).json()["user"]["id"]
    assert (await owner.delete(f"/api/staff/members/{theirs}/producer")).status_code == 204
    assert (await producer.get("/api/staff/orders")).json()["code"] == "not_signed_in"
    assert (await owner.delete(f"/api/staff/members/{theirs}/producer")).json()["code"] == "no_such_member"
    assert (await owner.delete(f"/api/staff/members/{mine}/owner")).json()["code"] == "last_owner"
    assert (await owner.delete(f"/api/staff/members/{mine}/king")).json()["code"] == "no_such_member"


@pytest.mark.parametrize("role", ["producer", "host", "moderator"])
async def test_only_owners_manage_people_and_the_shop(web: Web, role: str) -> None:
    staff = await web.signed_in(role)
    invite = {"email": "y@example.com", "role": "owner"}
    assert (await staff.post("/api/staff/invitations", json=invite)).json()["code"] == "not_allowed"
    assert (await staff.patch("/api/staff/shop", json={"name": "Mine"})).json()["code"] == "not_allowed"


async def test_nobody_becomes_an_owner_by_signing_up(web: Web) -> None:
    browser = await web.signed_in()
    assert (await browser.get("/api/me")).json()["user"]["roles"] == []
    assert (await browser.get("/api/staff/members")).json()["code"] == "not_allowed"
    assert (await web.browser().get("/api/staff/members")).json()["code"] == "not_signed_in"


async def test_owner_create_can_be_run_again_to_set_a_password(web: Web) -> None:
    passwords = web.deps.accounts.passwords
    for password in ("the first password", "the second password"):
        await create_owner(web.deps.pool, "boss@example.com", "Boss", password, passwords)
    answer = await web.browser().post(
        "/api/auth/sign-in", json={"email": "boss@example.com", "password": "the second password"}
    )
    assert answer.json()["roles"] == ["owner"]


async def test_the_shop_is_changed(web: Web) -> None:
    owner = await web.signed_in("owner")
    change = {"name": "Cups & Co", "tax_rate_bp": 1900, "flat_shipping_minor": 490, "country": "DE"}
    answer = await owner.patch("/api/staff/shop", json=change)
    assert answer.json()["name"] == "Cups & Co"
    config = (await web.browser().get("/api/config")).json()
    assert config["shop"]["flat_shipping_minor"] == 490
    assert config["overlay_url"] == "ws://overlay.test:1"
    late = await owner.patch("/api/staff/shop", json={"name": "Mugs", "was": {"name": "Before"}})
    assert late.json()["code"] == "changed_meanwhile"
    wrong = await owner.patch("/api/staff/shop", json={"tax_rate_bp": 10_001})
    assert list(wrong.json()["fields"]) == ["tax_rate_bp"]


async def test_only_what_can_be_charged_is_a_currency_or_a_price(web: Web) -> None:
    owner = await web.signed_in("owner")
    shop = "/api/staff/shop"
    assert (await owner.patch(shop, json={"currency": "XXX"})).json()["code"] == "currency_not_taken"
    refused = await owner.patch(shop, json={"currency": "KWD", "flat_shipping_minor": 1235})
    assert refused.json()["code"] == "amount_not_chargeable"
    taken = (await owner.patch(shop, json={"currency": "KWD", "flat_shipping_minor": 1230})).json()
    assert taken["currency"] == "KWD"
    assert "KWD" in taken["currencies"]
    wish = {"title": "Cup", "variants": [{"price_minor": 4999}]}
    answer = (await owner.post("/api/staff/products", json=wish)).json()
    assert (answer["code"], answer["fields"]) == (
        "amount_not_chargeable",
        {"price_minor": "A multiple of 10."},
    )
    wish["variants"] = [{"price_minor": 4990}]
    made = (await owner.post("/api/staff/products", json=wish)).json()
    for method, path in (
        ("PATCH", f"/api/staff/variants/{made['variants'][0]['id']}"),
        ("POST", f"/api/staff/products/{made['id']}/variants"),
    ):
        refused = await owner.request(method, path, json={"price_minor": 1})
        assert refused.json()["code"] == "amount_not_chargeable"


async def test_people_are_found(web: Web) -> None:
    producer = await web.signed_in("producer", name="Findable Fiona")
    found = (await producer.get("/api/staff/people?q=findable")).json()["people"]
    assert [person["display_name"] for person in found] == ["Findable Fiona"]


# --- shows


async def test_a_show_is_planned_run_and_ended(web: Web) -> None:
    producer, visitor = await web.signed_in("producer"), web.browser()
    show = await plan(producer)
    cup, pot = await add_product(producer, "Cup"), await add_product(producer, "Pot")
    path = f"/api/staff/shows/{show['id']}"
    items = {"product_ids": [pot["id"], cup["id"]]}
    assert (await producer.put(path + "/items", json=items)).status_code == 204
    seen = (await visitor.get(f"/api/shows/{show['id']}")).json()
    assert [(i["product"]["id"], i["state"]) for i in seen["items"]] == [
        (pot["id"], "upcoming"),
        (cup["id"], "upcoming"),
    ]
    assert (await producer.post(path + "/end", json={})).json()["code"] == "wrong_show_state"
    started = await producer.post(path + "/start", json={})
    assert started.json()["state"] == "live"
    assert (await producer.post(path + "/start", json={})).status_code == 200
    ended = await producer.post(path + "/end", json={})
    assert ended.json()["state"] == "ended"
    assert (await producer.post(path + "/start", json={})).json()["code"] == "wrong_show_state"


async def test_the_room_and_the_nodes_hear_of_it_once(web: Web) -> None:
    host = await web.signed_in("host")
    show = await plan(await web.signed_in("producer"))
    path = f"/api/staff/shows/{show['id']}"
    async with web.deps.redis.pubsub() as nodes:
        await nodes.subscribe(SHOW_ENDED_CHANNEL)
        for step in ("start", "start", "end"):
            assert (await host.post(f"{path}/{step}", json={})).status_code == 200
        async with asyncio.timeout(30):
            while not (told := await nodes.get_message(ignore_subscribe_messages=True, timeout=1)):
                pass
    assert told["data"] == show["id"].encode()
    head = await web.log.head(show["id"])
    assert head is not None
    assert head.number == 2


async def test_a_draft_in_the_run_of_show_is_for_staff_alone(web: Web) -> None:
    producer = await web.signed_in("producer")
    show, draft = await plan(producer), await add_product(producer, "Secret", state="draft")
    path = f"/api/staff/shows/{show['id']}/items"
    await producer.put(path, json={"product_ids": [draft["id"]]})
    seen = [
        len((await who.get(f"/api/shows/{show['id']}")).json()["items"]) for who in (producer, web.browser())
    ]
    assert seen == [1, 0]


async def test_a_show_gets_a_cover(web: Web) -> None:
    producer = await web.signed_in("producer")
    path = f"/api/staff/shows/{(await plan(producer))['id']}/cover"
    answer = await producer.put(path, content=png(900, 500), headers=UPLOAD)
    assert answer.json()["cover_url"].endswith("/1280.webp")
    assert (await web.browser().get(answer.json()["cover_url"])).status_code == 200
    without = await producer.patch(path.removesuffix("/cover"), json={"cover_image_id": None})
    assert without.json()["cover_url"] is None


async def test_run_of_show_takes_products_of_the_shop_once(web: Web) -> None:
    producer = await web.signed_in("producer")
    show, cup = await plan(producer), await add_product(producer, "Once")
    path = f"/api/staff/shows/{show['id']}/items"
    twice = await producer.put(path, json={"product_ids": [cup["id"], cup["id"]]})
    assert twice.json()["code"] == "invalid_body"
    unknown = await producer.put(path, json={"product_ids": [NOWHERE]})
    assert unknown.json()["code"] == "no_such_product"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"starts_at": "tomorrow"}, "invalid_body"),
        ({"starts_at": "2026-01-01T00:00:00"}, "invalid_body"),
        ({"starts_at": "9999-01-01T00:00:00Z"}, "invalid_body"),
        ({"visibility": "secret"}, "invalid_body"),
        ({"title": ""}, "invalid_body"),
        ({"host_id": NOWHERE}, "no_such_member"),
        ({"cover_image_id": NOWHERE}, "no_such_image"),
    ],
)
async def test_a_plan_is_checked(web: Web, change: dict[str, Any], code: str) -> None:
    producer = await web.signed_in("producer")
    show = await plan(producer)
    answer = await producer.patch(f"/api/staff/shows/{show['id']}", json=change)
    assert answer.json()["code"] == code


async def test_a_plan_that_somebody_else_changed_is_not_run_over(web: Web) -> None:
    producer = await web.signed_in("producer")
    show = await plan(producer)
    path, was = f"/api/staff/shows/{show['id']}", {"starts_at": show["starts_at"], "host_id": None}
    moved = (datetime.fromisoformat(show["starts_at"]) + timedelta(hours=1)).isoformat()
    assert (await producer.patch(path, json={"starts_at": moved, "was": was})).status_code == 200
    later = (datetime.fromisoformat(show["starts_at"]) + timedelta(hours=2)).isoformat()
    late = (await producer.patch(path, json={"starts_at": later, "was": was})).json()
    assert (late["code"], list(late["fields"])) == ("changed_meanwhile", ["starts_at"])


async def test_a_changed_plan_raises_the_calendars_sequence(web: Web) -> None:
    producer = await web.signed_in("producer")
    show = await plan(producer)

    async def sequence() -> int:
        text = (await producer.get(f"/api/shows/{show['id']}/calendar.ics")).text
        return icalendar.Calendar.from_ical(text).walk("VEVENT")[0]["sequence"]

    before = await sequence()
    await producer.patch(f"/api/staff/shows/{show['id']}", json={"title": "Later"})
    assert await sequence() == before + 1


async def test_a_stream_key_is_shown_once_and_rotated(web: Web) -> None:
    host, encoder = await web.signed_in("host"), web.browser()
    show = await plan(await web.signed_in("producer"))
    await web.deps.nodes.beat(media.Node(id="n1", url="http://stream.test:2"))
    path = f"/api/staff/shows/{show['id']}/stream-key"
    assert (await host.get(path)).json() is None
    first, second = [(await host.post(path, json={})).json()["key"] for _ in range(2)]
    hint = (await host.get(path)).json()
    assert hint["hint"] == second[-4:]
    assert second not in str(hint)
    old = await encoder.post("/whip", headers={"authorization": f"Bearer {first}"})
    assert old.json()["code"] == "bad_stream_key"
    new = await encoder.post("/whip", headers={"authorization": f"Bearer {second}"})
    assert new.status_code == 307
    async with transaction(web.deps.pool) as db:
        kept = await db.fetch("SELECT * FROM stream_keys")
        audited = await db.fetch("SELECT * FROM audit")
    assert second not in str(kept) + str(audited)
    moderator = await web.signed_in("moderator")
    assert (await moderator.post(path, json={})).json()["code"] == "not_allowed"


async def test_passes_open_a_show_until_they_are_taken_back(web: Web) -> None:
    producer, guest = await web.signed_in("producer"), web.browser()
    show = await plan(producer, visibility="invited")
    path = f"/api/staff/shows/{show['id']}/passes"
    made = (await producer.post(path, json={"label": "press"})).json()
    assert made["url"].endswith(f"/shows/{show['id']}#pass={made['token']}")
    look = f"/api/shows/{show['id']}?pass={made['token']}"
    assert (await guest.get(look)).status_code == 200
    listed = (await producer.get(path)).json()["passes"]
    assert [(one["id"], one["label"]) for one in listed] == [(made["id"], "press")]
    assert (await producer.delete(f"{path}/{made['id']}")).status_code == 204
    assert (await guest.get(look)).json()["code"] == "pass_needed"
    assert (await producer.delete(f"{path}/{made['id']}")).json()["code"] == "no_such_pass"


async def test_the_summary_of_a_show_that_sold_nothing(web: Web) -> None:
    producer = await web.signed_in("producer")
    show = await plan(producer)
    answer = await producer.get(f"/api/staff/shows/{show['id']}/summary")
    assert answer.json() == {"orders": 0, "paid": 0, "units": 0, "revenue_minor": 0, "viewers_now": 0}
