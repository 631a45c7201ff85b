"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) over HTTP: parse, ask `Sessions`, answer.

Every error leaves as problem details (RFC 9457) with a stable `code`, in one place (`http`). CORS is
open: what a request may do is in its ticket and its bearer token, never in a cookie.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from stream.ports import Admission, Grant, PublishedElsewhere, Purpose
from stream.sessions import SECOND_HOST, Session, Sessions

from .answer import read_publisher_offer, read_viewer_offer
from .counter import Countered
from .errors import (
    ConflictError,
    MalformedError,
    NotAllowedError,
    SignalError,
    UnavailableError,
    UnsupportedError,
)
from .events import EVENTS, EventStream, known, read_wanted
from .fragment import Fragment, read_fragment, write_fragment
from .http import (
    FRAGMENT,
    JSON,
    PREFLIGHT,
    SDP,
    Handler,
    bearer,
    guarded,
    has_body,
    is_preflight,
    media_type_of,
    read_body,
    unrouted,
)

REDEEM_S = 5.0
_EVENT_STREAM = "text/event-stream"
_EXTENSION = "urn:ietf:params:whep:ext:core:"


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server for clients, sent as `Link; rel="ice-server"` (RFC 9725 4.6)."""

    url: str
    username: str = ""
    credential: str = ""

    def link(self) -> str:
        parts = [f"<{self.url}>", 'rel="ice-server"']
        if self.username:
            parts += [f"username={_quoted(self.username)}", f"credential={_quoted(self.credential)}"]
            parts.append('credential-type="password"')
        return "; ".join(parts)


def _quoted(text: str) -> str:
    """RFC 9110 5.6.4."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Resources:
    """The ASGI application of one node; `healthz` and `metrics` come from the node."""

    def __init__(
        self,
        sessions: Sessions,
        admission: Admission,
        *,
        public_base_url: str,
        ice_servers: tuple[IceServer, ...],
        healthz: Handler,
        metrics: Handler,
    ) -> None:
        self._sessions = sessions
        self._admission = admission
        self._public_base_url = public_base_url.rstrip("/")
        self._links = [server.link() for server in ice_servers]
        self._public_links = [server.link() for server in ice_servers if not server.credential]
        self.app = Starlette(
            routes=[
                Route("/healthz", healthz, methods=["GET"]),
                Route("/metrics", metrics, methods=["GET"]),
                Route("/{kind}", guarded(self._endpoint), methods=["POST", "OPTIONS", "GET"]),
                Route(
                    "/{kind}/{session}",
                    guarded(self._resource),
                    methods=["PATCH", "DELETE", "OPTIONS", "GET"],
                ),
                Route(
                    "/whep/{session}/layer",
                    guarded(self._layer),
                    methods=["POST", "DELETE", "OPTIONS"],
                ),
                Route(
                    "/whep/{session}/sse",
                    guarded(self._events),
                    methods=["POST", "GET", "DELETE", "OPTIONS"],
                ),
                Route("/whip/{session}/sse", guarded(self._host_events), methods=["GET", "OPTIONS"]),
                Route(
                    "/whep/{session}/sse/{stream}",
                    guarded(self._event_stream_named),
                    methods=["GET", "DELETE", "OPTIONS"],
                ),
            ],
            exception_handlers={HTTPException: unrouted},
        )

    async def _endpoint(self, request: Request) -> Response:
        kind = _kind(request)
        if request.method == "OPTIONS":
            response = Response(status_code=200, headers=PREFLIGHT)
            return response if is_preflight(request) else self._linked(response, self._public_links)
        if request.method in ("GET", "HEAD"):
            return _discovered(request.method)
        text = await read_body(request, SDP)
        return await (self._publish if kind == "whip" else self._view)(request, text)

    async def _publish(self, request: Request, text: str) -> Response:
        offer = read_publisher_offer(text)
        grant = await self._redeem(request, Purpose.PUBLISH)
        return self._created(*self._sessions.publish(grant, offer))

    async def _view(self, request: Request, text: str) -> Response:
        """An offer that can't be answered, though there is something to see, is met by ours (406)."""
        try:
            offer = read_viewer_offer(text)
        except UnsupportedError:
            offer = None
        grant = await self._redeem(request, Purpose.VIEW)
        if offer is not None:
            try:
                return self._created(*self._sessions.view(grant, offer))
            except UnsupportedError:
                pass
        return self._created(*self._sessions.counter(grant), status=406)

    def _created(self, session: Session | Countered, text: str, *, status: int = 201) -> Response:
        location = f"{self._public_base_url}/{session.kind}/{session.session}"
        response = Response(text, status_code=status, media_type=SDP)
        # Starlette would add a charset, and some clients compare the type as a whole.
        response.headers["content-type"] = SDP
        response.headers["location"] = location
        response.headers["etag"] = _etag(session)
        response.headers["accept-patch"] = FRAGMENT if status == 201 else f"{SDP}, {FRAGMENT}"
        extensions = [f'<{location}/sse>; rel="{_EXTENSION}server-sent-events"; events="inactive,reconnect"']
        if session.kind == "whep":
            events = ",".join(EVENTS)
            extensions = [
                f'<{location}/sse>; rel="{_EXTENSION}server-sent-events"; events="{events}"',
                f'<{location}/layer>; rel="{_EXTENSION}layer"',
            ]
        return self._linked(response, [*self._links, *extensions])

    def _linked(self, response: Response, links: list[str]) -> Response:
        for link in links:
            response.headers.append("link", link)
        return response

    async def _redeem(self, request: Request, purpose: Purpose) -> Grant:
        ticket = request.query_params.get("ticket") or bearer(request) or ""
        try:
            async with asyncio.timeout(REDEEM_S):
                grant = await self._admission.redeem(ticket) if ticket else None
        except PublishedElsewhere as error:
            raise ConflictError(SECOND_HOST) from error
        except Exception as error:
            raise UnavailableError(
                "tickets can't be checked at the moment; try again",
                code="admission_unavailable",
                retry_after_s=2,
            ) from error
        if grant is None or grant.purpose is not purpose:
            raise NotAllowedError("the ticket is unknown, spent or expired; ask the public address again")
        return grant

    async def _resource(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=200, headers=PREFLIGHT)
        kind = _kind(request)
        session = self._sessions.find_for(request.path_params["session"], kind, bearer(request))
        if request.method == "DELETE":
            session.close("deleted")
            return Response(status_code=200)
        if request.method in ("GET", "HEAD"):
            status = 204 if request.method == "GET" else 200
            return Response(status_code=status, headers={"etag": _etag(session), "accept-patch": FRAGMENT})
        if kind == "whep" and media_type_of(request) == SDP:
            return self._answered(session, await read_body(request, SDP))
        fragment = read_fragment(await read_body(request, FRAGMENT))
        return self._patch(session, request.headers.get("if-match"), fragment)

    def _answered(self, session: Session | Countered, answer: str) -> Response:
        if not isinstance(session, Countered):
            raise SignalError("this session has its answer", code="not_awaiting_answer", status=409)
        self._sessions.answered(session, read_viewer_offer(answer))
        return Response(status_code=204)

    async def _layer(self, request: Request) -> Response:
        """POST: no better layer than `rid`; without one, and by DELETE, the best that gets through."""
        if request.method == "OPTIONS":
            return Response(status_code=200, headers=PREFLIGHT)
        name = request.path_params["session"]
        session = self._began(self._sessions.find_for(name, "whep", bearer(request)))
        rid = None if request.method == "DELETE" else _wished(await read_body(request, JSON))
        self._sessions.prefer(session, rid)
        return Response(status_code=200)

    async def _events(self, request: Request) -> Response:
        """POST subscribes and says where. A GET here reads at once, for as long as it lasts. Readers carry no
        bearer: EventSource can't send one, and the session's name, which nobody can guess, is all that it
        takes to hear how many watch."""
        if request.method == "OPTIONS":
            return Response(status_code=200, headers=PREFLIGHT)
        name = request.path_params["session"]
        if request.method in ("GET", "HEAD"):
            return self._event_stream(self._began(self._sessions.find(name, "whep")), request)
        session = self._began(self._sessions.find_for(name, "whep", bearer(request)))
        if request.method == "DELETE":
            self._sessions.events.end(session.broadcast.id, session.session, reconnect=False)
            return Response(status_code=200)
        wanted = read_wanted(await read_body(request, JSON) if has_body(request) else "")
        stream = self._sessions.watch(session, wanted)
        location = f"{self._public_base_url}/whep/{session.session}/sse/{stream.name}"
        return Response(status_code=201, headers={"location": location})

    async def _host_events(self, request: Request) -> Response:
        """WHIP knows no events; ours is that of WHEP, for a node that asks its publisher to move."""
        if request.method == "OPTIONS":
            return Response(status_code=200, headers=PREFLIGHT)
        session = self._began(self._sessions.find(request.path_params["session"], "whip"))
        return self._event_stream(session, request)

    async def _event_stream_named(self, request: Request) -> Response:
        """GET reads on where the last reader stopped; DELETE ends it."""
        if request.method == "OPTIONS":
            return Response(status_code=200, headers=PREFLIGHT)
        name, events = request.path_params["session"], self._sessions.events
        if request.method in ("GET", "HEAD"):
            session = self._began(self._sessions.find(name, "whep"))
            stream = events.find(session.broadcast.id, name, request.path_params["stream"])
            return _Reading(stream) if request.method == "GET" else Response(media_type=_EVENT_STREAM)
        session = self._began(self._sessions.find_for(name, "whep", bearer(request)))
        stream = events.find(session.broadcast.id, name, request.path_params["stream"])
        stream.close()
        events.remove(session.broadcast.id, session.session, stream)
        return Response(status_code=200)

    def _event_stream(self, session: Session, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=_EVENT_STREAM)
        asked = request.query_params.get("events")
        stream = self._sessions.watch(session, EVENTS if asked is None else known(asked.split(",")))
        events = self._sessions.events
        return _Reading(stream, lambda: events.remove(session.broadcast.id, session.session, stream))

    @staticmethod
    def _began(session: Session | Countered) -> Session:
        if isinstance(session, Countered):
            raise SignalError("answer our offer first", code="awaiting_answer", status=409)
        return session

    def _patch(self, session: Session | Countered, if_match: str | None, fragment: Fragment) -> Response:
        """With `*`, or with credentials that are new to us, ICE restarts; else candidates were trickled."""
        if if_match is None:
            raise SignalError("send If-Match with the session's ETag", code="etag_missing", status=428)
        if if_match in ("*", '"*"'):
            return self._restart(self._began(session), fragment)
        if _etag(session) not in [tag.strip() for tag in if_match.split(",")]:
            raise SignalError("the ETag is stale: ICE was restarted since", code="etag_stale", status=412)
        if (
            fragment.restarts
            and not isinstance(session, Countered)
            and fragment.ufrag != session.peer.ice.remote_ufrag
        ):
            return self._restart(session, fragment)
        return Response(status_code=204)

    def _restart(self, session: Session, fragment: Fragment) -> Response:
        if not fragment.restarts:
            raise MalformedError("an ICE restart sends new ice-ufrag and ice-pwd", code="malformed_fragment")
        local = self._sessions.restart_ice(session, fragment.ufrag)
        text = write_fragment(fragment, local, self._sessions.candidate_lines())
        response = Response(text, status_code=200)
        response.headers["content-type"] = FRAGMENT
        response.headers["etag"] = _etag(session)
        return response


def _discovered(method: str) -> Response:
    """HEAD tells a player what the address is (draft-ietf-wish-whep 4.2); there is nothing to GET."""
    headers = {"content-type": SDP, "accept-post": SDP}
    return Response(status_code=204 if method == "GET" else 200, headers=headers)


class _Reading(StreamingResponse):
    """`leave` is called when its reader has gone, be it before the first byte."""

    def __init__(self, stream: EventStream, leave: Callable[[], None] = lambda: None) -> None:
        headers = {"cache-control": "no-store"}
        super().__init__(stream.read(), media_type=_EVENT_STREAM, headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


def _wished(body: str) -> str | None:
    """The layer that a viewer asks for: `rid`, which drafts before the third called `encodingId`."""
    try:
        wish = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("send a JSON object with a rid", code="malformed_json") from error
    if not isinstance(wish, dict):
        raise MalformedError("send a JSON object with a rid", code="malformed_json")
    if wish.get("mediaId", "0") not in ("0", 0):
        raise UnsupportedError("layers are the video's, mediaId 0", code="media_unknown")
    rid = wish.get("rid", wish.get("encodingId"))
    if rid is not None and not isinstance(rid, str):
        raise MalformedError("rid is a string", code="malformed_json")
    return rid


def _etag(session: Session | Countered) -> str:
    return f'"{session.generation}"'


def _kind(request: Request) -> str:
    kind = request.path_params["kind"]
    if kind not in ("whip", "whep"):
        raise SignalError("there is only /whip and /whep here", code="not_found", status=404)
    return str(kind)
