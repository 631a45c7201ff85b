"""Money back from the back office: one order's, a whole show's, and what is owed."""

from __future__ import annotations

from uuid import uuid4

import icalendar

from server.store.pool import transaction

from .conftest import Web
from .test_buying import ready_buyer, settled, wish
from .test_catalogue import add_product
from .test_staff import NOWHERE, plan

RUNS = "/api/staff/refund-runs"


async def test_a_show_is_cancelled_and_its_money_given_back(paying_web: Web) -> None:
    web = paying_web
    producer, host = await web.signed_in("producer"), await web.signed_in("host")
    buyer = await ready_buyer(web)
    show = await plan(producer)
    body = wish(await add_product(producer), show_id=show["id"])
    await buyer.post("/api/orders", json=body)
    order = await settled(buyer, body["id"], "paid")
    of_show = f"{RUNS}?show_id={show['id']}"
    seen = (await producer.get(of_show)).json()
    assert (seen["runs"], seen["to_send"], seen["to_send_minor"]) == ([], 1, order["total_minor"])
    asked = {"id": str(uuid4()), "show_id": show["id"], "cancel_show": True, "reason": "The kiln broke"}
    assert (await host.post(RUNS, json=asked)).json()["code"] == "not_allowed"
    for _ in range(2):  # sent twice, it is one
        begun = await producer.post(RUNS, json=asked)
        assert begun.status_code == 202, begun.text
    (run,) = (await producer.get(of_show)).json()["runs"]
    assert (run["cancels_show"], run["reason"], run["done_at"]) == (True, "The kiln broke", None)
    told = (await buyer.get(f"/api/shows/{show['id']}")).json()
    assert (told["state"], told["cancelled_at"] is not None) == ("ended", True)
    text = (await buyer.get(f"/api/shows/{show['id']}/calendar.ics")).text
    (entry,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    assert (entry["status"], entry.walk("VALARM"), entry.end > entry.start) == ("CANCELLED", [], True)
    started = await producer.post(f"/api/staff/shows/{show['id']}/start", json={})
    assert started.json()["code"] == "wrong_show_state"
    async with transaction(web.deps.pool) as db:
        actions = await db.fetch("SELECT action FROM audit WHERE subject = $1", show["id"])
    assert [row["action"] for row in actions].count("cancel_show") == 1


async def test_what_a_run_is_about_must_be_there(web: Web) -> None:
    producer = await web.signed_in("producer")
    wrong = [
        ({}, "invalid_body"),
        ({"product_id": NOWHERE, "cancel_show": True}, "invalid_body"),
        ({"show_id": NOWHERE, "product_id": NOWHERE, "cancel_show": True}, "invalid_body"),
        ({"show_id": NOWHERE}, "no_such_show"),
        ({"product_id": NOWHERE}, "no_such_product"),
    ]
    for about, code in wrong:
        answer = await producer.post(RUNS, json={"id": str(uuid4()), "reason": "why", **about})
        assert answer.json()["code"] == code, answer.text


async def test_what_is_owed_is_found_and_settled(paying_web: Web) -> None:
    web = paying_web
    producer, buyer = await web.signed_in("producer"), await ready_buyer(web)
    body = wish(await add_product(producer))
    await buyer.post("/api/orders", json=body)
    await settled(buyer, body["id"], "paid")
    path = f"/api/staff/orders/{body['id']}"
    assert (await producer.post(path + "/owed-paid", json={"how": "cash"})).json()["code"] == "nothing_owed"
    async with transaction(web.deps.pool) as db:
        await db.execute("UPDATE orders SET owed_minor = 500 WHERE id = $1", body["id"])
    owed = (await producer.get("/api/staff/orders?owed=true")).json()["orders"]
    assert [(one["id"], one["owed_minor"]) for one in owed] == [(body["id"], 500)]
    settled_now = (await producer.post(path + "/owed-paid", json={"how": "by transfer"})).json()
    assert settled_now["owed_minor"] == 0
    assert "by transfer" in next(h["detail"] for h in settled_now["history"] if h["kind"] == "owed_paid")
    assert (await producer.get("/api/staff/orders?owed=true")).json()["orders"] == []
