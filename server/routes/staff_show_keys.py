"""What opens a show: the stream key that sends its picture, the passes that let people in."""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from server.auth.roles import Action
from server.auth.tokens import digest, new_token
from server.problems import Problem
from server.routes.operation import Call, Operation, or_null, staff
from server.routes.schemas import Body, OptionalLine, View
from server.routes.staff_shows import EDIT, SHOW, Moment, check_own, note, the_show
from server.store import shows as store
from server.store.pool import transaction
from server.tickets import STREAM_KEY_PREFIX


class NewPass(Body, frozen=True):
    label: OptionalLine = ""
    expires_at: Moment | None = None


class StreamKeyView(View, frozen=True):
    """Shown this once; only its hash is kept."""

    key: str
    hint: str


class StreamKeyHint(View, frozen=True):
    hint: str
    created_at: datetime


class PassMade(View, frozen=True):
    """`token` and `url` are shown this once. The token is in the fragment: it reaches no log."""

    id: str
    token: str
    url: str


class PassView(View, frozen=True):
    id: str
    label: str
    created_at: datetime
    expires_at: datetime | None


class Passes(View, frozen=True):
    passes: tuple[PassView, ...]


async def rotate_key(call: Call) -> StreamKeyView:
    key = new_token(STREAM_KEY_PREFIX)
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        check_own(call, show, Action.PUBLISH)
        if show.state == store.ENDED:
            raise Problem("show_ended")
        await store.rotate_stream_key(db, show.id, digest(key), key[-4:], call.deps.clock())
        await note(call, db, show, "rotate_stream_key", {"hint": key[-4:]})
    return StreamKeyView(key, key[-4:])


async def key_info(call: Call) -> Response:
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        found = await store.stream_key(db, show.id)
    return or_null(StreamKeyHint(found.hint, found.created_at) if found else None)


async def add_pass(call: Call, body: NewPass) -> PassMade:
    token = new_token()
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        await store.add_pass(db, show.id, digest(token), body.label, call.person.user_id, body.expires_at)
        await note(call, db, show, "add_pass", {"label": body.label})
    url = f"{call.deps.settings.public_url}/shows/{show.id}#pass={token}"
    return PassMade(digest(token).hex()[:16], token, url)


async def list_passes(call: Call) -> Passes:
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        found = await store.passes(db, show.id)
    return Passes(tuple(PassView(p.id, p.label, p.created_at, p.expires_at) for p in found))


async def revoke_pass(call: Call) -> None:
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        if not await store.revoke_pass(db, show.id, call.path("pass_id"), call.deps.clock()):
            raise Problem("no_such_pass")
        await note(call, db, show, "revoke_pass", {"pass": call.path("pass_id")})


_PUBLISH = staff(Action.PUBLISH)

OPERATIONS = (
    Operation(
        "POST",
        SHOW + "/stream-key",
        rotate_key,
        "A new stream key, shown once; the one before stops working",
        _PUBLISH,
        errors=("no_such_show", "not_your_show", "show_ended"),
    ),
    Operation(
        "GET",
        SHOW + "/stream-key",
        key_info,
        "Which stream key is valid, by its last four characters",
        _PUBLISH,
        returns=StreamKeyHint | None,
        errors=("no_such_show",),
    ),
    Operation(
        "POST",
        SHOW + "/passes",
        add_pass,
        "A link that lets people into an invited show; shown once",
        EDIT,
        status=201,
        errors=("no_such_show",),
    ),
    Operation(
        "GET", SHOW + "/passes", list_passes, "Passes that open the show", EDIT, errors=("no_such_show",)
    ),
    Operation(
        "DELETE",
        SHOW + "/passes/{pass_id}",
        revoke_pass,
        "Take a pass back",
        EDIT,
        errors=("no_such_show", "no_such_pass"),
    ),
)
