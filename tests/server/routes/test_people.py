"""Accounts: what people do, what attackers try."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from .conftest import PASSWORD, Web


def token_of(mail: dict) -> str:
    return mail["values"]["link"].partition("#token=")[2]


async def sign_up(browser: httpx.AsyncClient, email: str = "ada@example.com") -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "display_name": "Ada Lovelace"}
    return await browser.post("/api/auth/sign-up", json=body)


async def test_sign_up_signs_in_and_mails_a_link_that_verifies(web: Web) -> None:
    browser = web.browser()
    answer = await sign_up(browser, " New@Example.com ")
    assert answer.status_code == 201
    assert answer.json()["email"] == "new@example.com"
    assert answer.json()["email_verified"] is False
    assert answer.json()["roles"] == []
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    (mail,) = await web.mails("new@example.com")
    assert mail["letter"] == "verify"
    verified = await browser.post("/api/auth/verify", json={"token": token_of(mail)})
    assert verified.json()["email_verified"] is True
    again = await browser.post("/api/auth/verify", json={"token": token_of(mail)})
    assert (again.status_code, again.json()["code"]) == (409, "bad_token")
    assert (await browser.get("/api/me")).json()["user"]["email_verified"] is True


async def test_an_address_is_taken_once(web: Web) -> None:
    await sign_up(web.browser(), "twice@example.com")
    answer = await sign_up(web.browser(), "TWICE@example.com")
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert "email" in answer.json()["fields"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no-at", "password": PASSWORD, "display_name": "A"}, "email"),
        ({"email": "a@example.com", "password": "short", "display_name": "A"}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "display_name": "  "}, "display_name"),
        ({"email": "a@example.com", "password": PASSWORD}, "display_name"),
        ({"email": "a@example.com", "password": PASSWORD, "display_name": "A", "admin": True}, "admin"),
        ({"email": "a@example.com", "password": 1, "display_name": "A"}, "password"),
    ],
)
async def test_a_bad_form_names_its_field(web: Web, body: dict, field: str) -> None:
    answer = await web.browser().post("/api/auth/sign-up", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert list(answer.json()["fields"]) == [field]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_sign_in_says_the_same_of_unknown_people_and_wrong_passwords(web: Web) -> None:
    await sign_up(web.browser(), "known@example.com")
    answers = [
        await web.browser().post("/api/auth/sign-in", json={"email": email, "password": "wrong password"})
        for email in ("known@example.com", "unknown@example.com")
    ]
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["code"] == "bad_credentials"


async def test_sign_in_and_out(web: Web) -> None:
    await sign_up(web.browser(), "inout@example.com")
    browser = web.browser()
    answer = await browser.post(
        "/api/auth/sign-in", json={"email": "INOUT@example.com", "password": PASSWORD}
    )
    assert answer.status_code == 200
    assert (await browser.get("/api/me")).json()["user"]["email"] == "inout@example.com"
    assert (await browser.post("/api/auth/sign-out")).status_code == 204
    assert (await browser.get("/api/me")).json()["user"] is None


async def test_too_many_tries_are_told_when_to_come_back(web: Web) -> None:
    browser = web.browser("192.0.2.77")
    body = {"email": "guess@example.com", "password": "wrong password"}
    codes = [(await browser.post("/api/auth/sign-in", json=body)).status_code for _ in range(10)]
    assert set(codes) == {401}
    answer = await browser.post("/api/auth/sign-in", json=body)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 0 < answer.json()["retry_after_s"] <= 300
    assert answer.headers["retry-after"] == str(answer.json()["retry_after_s"])
    elsewhere = await web.browser("192.0.2.78").post("/api/auth/sign-in", json=body)
    assert elsewhere.status_code == 401


async def test_forgot_says_nothing_and_reset_ends_every_session(web: Web) -> None:
    here, there = web.browser(), web.browser()
    await sign_up(here, "forgetful@example.com")
    known = await there.post("/api/auth/forgot", json={"email": "forgetful@example.com"})
    unknown = await there.post("/api/auth/forgot", json={"email": "nobody@example.com"})
    assert known.status_code == unknown.status_code == 202
    assert known.content == unknown.content
    assert await web.mails("nobody@example.com") == []
    mail = (await web.mails("forgetful@example.com"))[-1]
    body = {"token": token_of(mail), "password": "another long password"}
    assert (await there.post("/api/auth/reset", json=body)).status_code == 204
    assert (await here.get("/api/me")).json()["user"] is None
    old = await there.post("/api/auth/sign-in", json={"email": "forgetful@example.com", "password": PASSWORD})
    assert old.status_code == 401
    new = await there.post(
        "/api/auth/sign-in", json={"email": "forgetful@example.com", "password": "another long password"}
    )
    assert new.status_code == 200
    assert (await there.post("/api/auth/reset", json=body)).json()["code"] == "bad_token"


async def test_a_link_expires(web: Web) -> None:
    browser = web.browser()
    await sign_up(browser, "slow@example.com")
    await browser.post("/api/auth/forgot", json={"email": "slow@example.com"})
    token = token_of((await web.mails("slow@example.com"))[-1])
    web.clock.ahead = timedelta(hours=2)
    answer = await browser.post("/api/auth/reset", json={"token": token, "password": "x" * 12})
    assert answer.json()["code"] == "bad_token"


async def test_revoking_a_session_tells_its_sockets(web: Web) -> None:
    here, there = web.browser(), web.browser()
    await sign_up(here, "two@example.com")
    await there.post("/api/auth/sign-in", json={"email": "two@example.com", "password": PASSWORD})
    sessions = (await here.get("/api/me/sessions")).json()["sessions"]
    assert [session["current"] for session in sessions].count(True) == 1
    other = next(session["id"] for session in sessions if not session["current"])
    async with web.deps.redis.pubsub() as news:
        await news.subscribe("hawker:revoked")
        assert (await here.delete(f"/api/me/sessions/{other}")).status_code == 204
        async with asyncio.timeout(30):
            while not (told := await news.get_message(ignore_subscribe_messages=True, timeout=1)):
                pass
    assert told["data"] == other.encode()
    assert (await there.get("/api/me")).json()["user"] is None
    assert (await here.delete(f"/api/me/sessions/{other}")).json()["code"] == "no_such_session"


async def test_nobody_ends_the_sessions_of_others(web: Web) -> None:
    ada, eve = await web.signed_in(), await web.signed_in()
    session = (await ada.get("/api/me/sessions")).json()["sessions"][0]["id"]
    assert (await eve.delete(f"/api/me/sessions/{session}")).status_code == 404
    assert (await ada.get("/api/me")).json()["user"] is not None


async def test_changing_the_password_ends_the_other_sessions(web: Web) -> None:
    here, there = web.browser(), web.browser()
    await sign_up(here, "change@example.com")
    await there.post("/api/auth/sign-in", json={"email": "change@example.com", "password": PASSWORD})
    wrong = await here.post("/api/me/password", json={"current": "wrong", "new": "a newer password"})
    assert wrong.json()["code"] == "wrong_password"
    right = await here.post("/api/me/password", json={"current": PASSWORD, "new": "a newer password"})
    assert right.status_code == 204
    assert (await here.get("/api/me")).json()["user"] is not None
    assert (await there.get("/api/me")).json()["user"] is None


async def test_a_session_ends_after_thirty_days(web: Web) -> None:
    browser = await web.signed_in()
    web.clock.ahead = timedelta(days=31)
    assert (await browser.get("/api/me")).json()["user"] is None


async def test_changing_oneself(web: Web) -> None:
    browser = await web.signed_in()
    answer = await browser.patch("/api/me", json={"display_name": " Countess ", "show_first_name": True})
    assert answer.json()["display_name"] == "Countess"
    assert answer.json()["show_first_name"] is True
    assert (await web.browser().patch("/api/me", json={})).json()["code"] == "not_signed_in"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.test"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://evil.test", "sec-fetch-site": "same-origin"}, 204),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
    ],
)
async def test_other_sites_can_do_nothing(web: Web, headers: dict[str, str], status: int) -> None:
    browser = await web.signed_in()
    answer = await browser.post("/api/auth/sign-out", headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [
        (b'{"email"', "application/json", "bad_json"),
        (b'{"email":"\xff"}', "application/json", "bad_json"),
        (b"[" * 50_000, "application/json", "invalid_body"),
        (b"[]", "application/json", "invalid_body"),
        (b"{}", "text/plain", "wrong_content_type"),
        (b"{}", "", "wrong_content_type"),
        (b'{"email":"a@b.c","password":"\\u0000"}', "application/json", "bad_text"),
        (b'{"email":"' + b"a" * 70_000, "application/json", "too_large"),
    ],
)
async def test_a_bad_body_has_a_clear_answer(web: Web, content: bytes, content_type: str, code: str) -> None:
    answer = await web.browser().post(
        "/api/auth/sign-in", content=content, headers={"content-type": content_type}
    )
    assert answer.json()["code"] == code
    assert answer.json()["what_to_do"]


async def test_a_body_without_a_length_is_bounded_too(web: Web) -> None:
    async def endless():
        for _ in range(100):
            yield b" " * 10_000

    answer = await web.browser().post(
        "/api/auth/sign-in", content=endless(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
