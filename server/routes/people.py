"""Accounts over HTTP: sign-up, sign-in, sessions, what somebody says of themselves."""

from __future__ import annotations

from datetime import datetime

from server.auth.accounts import normal_email
from server.problems import Problem
from server.routes.operation import SIGNED_IN, Call, Operation, Reply
from server.routes.schemas import Body, Email, GivenPassword, Line, Me, Password, Token, View, me
from server.store import people
from server.store.pool import transaction


class SignUp(Body, frozen=True):
    email: Email
    password: Password
    display_name: Line


class SignIn(Body, frozen=True):
    email: Email
    password: GivenPassword


class Verify(Body, frozen=True):
    token: Token


class Forgot(Body, frozen=True):
    email: Email


class Reset(Body, frozen=True):
    token: Token
    password: Password


class ChangeMe(Body, frozen=True):
    display_name: Line | None = None
    show_first_name: bool | None = None


class ChangePassword(Body, frozen=True):
    current: GivenPassword
    new: Password


class WhoAmI(View, frozen=True):
    user: Me | None


class SessionView(View, frozen=True):
    id: str
    user_agent: str
    created_at: datetime
    seen_at: datetime
    current: bool


class Sessions(View, frozen=True):
    sessions: tuple[SessionView, ...]


async def sign_up(call: Call, body: SignUp) -> Reply:
    accounts, email, name = call.deps.accounts, normal_email(body.email), body.display_name.strip()
    begun = await accounts.sign_up(email, body.password, name, call.client_ip, call.user_agent)
    await _end_present(call)
    return Reply(me(begun.person), 201, session_token=begun.token)


async def sign_in(call: Call, body: SignIn) -> Reply:
    email = normal_email(body.email)
    begun = await call.deps.accounts.sign_in(email, body.password, call.client_ip, call.user_agent)
    await _end_present(call)
    return Reply(me(begun.person), session_token=begun.token)


async def sign_out(call: Call) -> Reply:
    await _end_present(call)
    return Reply(session_token="")


async def _end_present(call: Call) -> None:
    """A browser has one session: the one it had before ends."""
    if call.visitor:
        await call.deps.accounts.end_session(call.visitor.user_id, call.visitor.session_id)


async def verify(call: Call, body: Verify) -> Me:
    user_id = await call.deps.accounts.verify(body.token, call.client_ip)
    async with transaction(call.deps.pool) as db:
        user = await people.user_by_id(db, user_id)
    if user is None:
        raise Problem("bad_token")
    roles = call.visitor.roles if call.visitor and call.visitor.user_id == user_id else ()
    return Me.of(user, email_verified=True, roles=roles)


async def resend(call: Call) -> Reply:
    await call.deps.accounts.resend_verification(call.person)
    return Reply(status=202)


async def forgot(call: Call, body: Forgot) -> Reply:
    await call.deps.accounts.forgot(normal_email(body.email), call.client_ip)
    return Reply(status=202)


async def reset(call: Call, body: Reset) -> None:
    await call.deps.accounts.reset(body.token, body.password, call.client_ip)


async def who_am_i(call: Call) -> WhoAmI:
    return WhoAmI(me(call.visitor) if call.visitor else None)


async def change_me(call: Call, body: ChangeMe) -> Me:
    name = body.display_name.strip() if body.display_name else None
    async with transaction(call.deps.pool) as db:
        await people.rename(db, call.person.user_id, name, body.show_first_name)
        user = await people.user_by_id(db, call.person.user_id)
    assert user is not None
    return Me.of(user, email_verified=user.email_verified_at is not None, roles=call.person.roles)


async def change_password(call: Call, body: ChangePassword) -> None:
    await call.deps.accounts.change_password(call.person, body.current, body.new)


async def sessions(call: Call) -> Sessions:
    async with transaction(call.deps.pool) as db:
        found = await people.sessions_of(db, call.person.user_id, call.deps.clock())
    mine = call.person.session_id
    return Sessions(tuple(SessionView.of(session, current=session.id == mine) for session in found))


async def end_session(call: Call) -> Reply:
    session_id = call.path("id")
    if not await call.deps.accounts.end_session(call.person.user_id, session_id):
        raise Problem("no_such_session")
    return Reply(session_token="" if session_id == call.person.session_id else None)


OPERATIONS = (
    Operation(
        "POST",
        "/api/auth/sign-up",
        sign_up,
        "Make an account; signs in and mails a verification link",
        returns=Me,
        status=201,
        errors=("email_taken", "rate_limited", "busy"),
    ),
    Operation(
        "POST",
        "/api/auth/sign-in",
        sign_in,
        "Sign in",
        returns=Me,
        errors=("bad_credentials", "rate_limited", "busy"),
    ),
    Operation("POST", "/api/auth/sign-out", sign_out, "End this session; its sockets close", status=204),
    Operation(
        "POST",
        "/api/auth/verify",
        verify,
        "Prove an e-mail address with the token from the mail",
        errors=("bad_token", "rate_limited"),
    ),
    Operation(
        "POST",
        "/api/auth/verify/resend",
        resend,
        "Mail the verification link again",
        SIGNED_IN,
        status=202,
        errors=("already_verified", "rate_limited"),
    ),
    Operation(
        "POST",
        "/api/auth/forgot",
        forgot,
        "Mail a link to set a new password, if there is such an account",
        status=202,
        errors=("rate_limited",),
    ),
    Operation(
        "POST",
        "/api/auth/reset",
        reset,
        "Set a new password with the token from the mail; every session ends",
        errors=("bad_token", "rate_limited", "busy"),
    ),
    Operation("GET", "/api/me", who_am_i, "Who is signed in"),
    Operation("PATCH", "/api/me", change_me, "Change the own name and consent", SIGNED_IN),
    Operation(
        "POST",
        "/api/me/password",
        change_password,
        "Change the password; all other sessions end",
        SIGNED_IN,
        errors=("wrong_password", "rate_limited", "busy"),
    ),
    Operation("GET", "/api/me/sessions", sessions, "Where somebody is signed in", SIGNED_IN),
    Operation(
        "DELETE",
        "/api/me/sessions/{id:uuid}",
        end_session,
        "End one session; its sockets close",
        SIGNED_IN,
        status=204,
        errors=("no_such_session",),
    ),
)
