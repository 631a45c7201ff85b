"""The public WHIP and WHEP addresses: they know who may, find the node, and send the client there.

The answer is 307 with a single-use ticket in `Location`, since clients drop `Authorization` on the way to
another origin (Fetch Standard, HTTP-redirect fetch). Any page may call them: the secret is in the request,
not in a cookie.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

from starlette.responses import Response

from server.auth import limits
from server.auth.limits import network_of
from server.auth.tokens import digest
from server.problems import Problem
from server.routes.operation import MACHINE, Call, Operation
from server.routes.shows import check_pass
from server.store import shows as store
from server.store.pool import transaction
from server.tickets import PUBLISH_PREFIX, MediaTicket
from stream.ports import Purpose

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, if-match",
    "access-control-expose-headers": "location, link, etag",
    "access-control-max-age": "86400",
}


async def publish(call: Call) -> Response:
    await call.deps.limits.take(limits.KEY_GUESS, network_of(call.client_ip))
    token = call.bearer
    if token is None:
        raise Problem("bad_stream_key", "Send the stream key as `Authorization: Bearer`.")
    show_id, credential = await _publisher(call, token)
    async with transaction(call.deps.pool) as db:
        show = await store.show(db, show_id)
    if show is None:
        raise Problem("bad_stream_key")
    if show.state == store.ENDED:
        raise Problem("show_ended")
    bearer = hashlib.sha256(token.encode()).hexdigest()
    return await _redirect(call, MediaTicket(show.id, Purpose.PUBLISH, credential, bearer), "whip")


async def _publisher(call: Call, token: str) -> tuple[str, str]:
    """Which show a stream key or publish token is for, and the name of the secret behind it."""
    if token.startswith(PUBLISH_PREFIX):
        kept = await call.deps.tickets.publish_token(token)
        if kept is None:
            raise Problem("bad_stream_key", "The studio's token has expired: load the studio again.")
        return kept.show_id, f"studio:{kept.user_id}"
    async with transaction(call.deps.pool) as db:
        holder = await store.key_holder(db, digest(token))
    if holder is None:
        raise Problem("bad_stream_key")
    return holder.show_id, f"key:{holder.key_id}"


async def view(call: Call) -> Response:
    async with transaction(call.deps.pool) as db:
        show = await store.show_by_playback_id(db, call.path("playback_id"))
        if show is None:
            raise Problem("no_such_show")
        await check_pass(call, db, show, call.bearer)
    bearer = None
    if call.bearer and show.visibility == store.INVITED:
        bearer = hashlib.sha256(call.bearer.encode()).hexdigest()
    return await _redirect(call, MediaTicket(show.id, Purpose.VIEW, "viewer", bearer), "whep")


async def _redirect(call: Call, ticket: MediaTicket, resource: str) -> Response:
    node = await call.deps.nodes.node_for(
        ticket.broadcast, Purpose(ticket.purpose), call.deps.settings.region
    )
    if node is None:
        raise Problem("no_media_node", retry_after_s=2)
    query = urlencode({"ticket": await call.deps.tickets.issue(ticket)})
    headers = {"location": f"{node.url}/{resource}?{query}", "cache-control": "no-store"}
    return Response(b"", 307, headers)


async def preflight(call: Call) -> Response:
    return Response(b"", 204, {"allow": "POST, OPTIONS", "accept-post": "application/sdp"})


OPERATIONS = (
    Operation(
        "POST",
        "/whip",
        publish,
        "Publish a show (WHIP, RFC 9725) with a stream key; redirects to a media node",
        MACHINE,
        status=307,
        errors=("bad_stream_key", "show_ended", "no_media_node", "rate_limited"),
    ),
    Operation(
        "POST",
        "/whep/{playback_id}",
        view,
        "Watch a show (WHEP); redirects to a media node",
        MACHINE,
        status=307,
        errors=("no_such_show", "pass_needed", "no_media_node", "rate_limited"),
    ),
    Operation("OPTIONS", "/whip", preflight, "CORS preflight", MACHINE, status=204),
    Operation("OPTIONS", "/whep/{playback_id}", preflight, "CORS preflight", MACHINE, status=204),
)
