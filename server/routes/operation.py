"""One API operation: who may call it, what it takes and gives. Served and documented from the same row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import NoneType
from typing import Any, get_type_hints

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.auth.roles import Action, may
from server.problems import Problem
from server.routes import body as bodies
from server.routes.deps import Deps
from server.routes.network import client_ip, same_site
from server.store.people import Person

COOKIE = "hawker_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation: anyone, anyone signed in, or staff whose roles include `action`."""

    signed_in: bool = False
    action: Action | None = None
    from_pages: bool = True  # unsafe methods must come from our own pages (CSRF)

    def check(self, person: Person | None) -> None:
        if (self.signed_in or self.action) and person is None:
            raise Problem("not_signed_in")
        if self.action and person and not may(person.roles, self.action):
            raise Problem("not_allowed", f"Needed for this: {self.action.replace('_', ' ')}.")

    @property
    def errors(self) -> tuple[str, ...]:
        if self.action:
            return ("not_signed_in", "not_allowed")
        return ("not_signed_in",) if self.signed_in else ()


ANYONE = Access()
SIGNED_IN = Access(signed_in=True)
MACHINE = Access(from_pages=False)


def staff(action: Action) -> Access:
    return Access(signed_in=True, action=action)


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is no JSON: its content types, exact or ending in `/*`. How large is a setting."""

    content_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with more than a body: `content` is a struct or None."""

    content: msgspec.Struct | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    session_token: str | None = None  # "" takes the cookie away


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through an operation."""

    request: Request
    deps: Deps
    visitor: Person | None

    @property
    def person(self) -> Person:
        """Who is signed in; only for operations that ask for it."""
        if self.visitor is None:
            raise Problem("not_signed_in")
        return self.visitor

    @property
    def client_ip(self) -> str:
        return client_ip(self.request, self.deps.proxies)

    @property
    def user_agent(self) -> str:
        return self.request.headers.get("user-agent", "")

    @property
    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header (RFC 6750)."""
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """`handler(call[, query][, body])` returns a struct, None, a Reply or a ready Response.

    What it takes and gives is read from its annotations; `returns` is for handlers that give a Reply or a
    Response. One that gives None answers 204.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access = ANYONE
    _: KW_ONLY
    query: type[msgspec.Struct] | None = field(init=False)
    body: type[msgspec.Struct] | None = field(init=False)
    upload: Upload | None = None
    returns: Any = None  # a struct, or a struct | None
    media_type: str = "application/json"  # of what is returned
    status: int = 200
    errors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        hints = get_type_hints(self.handler)
        gives = hints.get("return")
        if gives is NoneType and self.status == 200:
            object.__setattr__(self, "status", 204)
        if isinstance(gives, type) and issubclass(gives, msgspec.Struct):
            object.__setattr__(self, "returns", gives)
        for name in ("query", "body"):
            object.__setattr__(self, name, hints.get(name))

    @property
    def all_errors(self) -> tuple[str, ...]:
        """Every problem code that this operation can answer with."""
        codes = [*self.access.errors, *self.errors, "store_unavailable"]
        if self.method not in SAFE_METHODS and self.access.from_pages:
            codes.append("cross_site")
        if self.query:
            codes.append("invalid_query")
        if self.body:
            codes += ["bad_json", "invalid_body", "bad_text"]
        if self.body or self.upload:
            codes += ["wrong_content_type", "too_large", "too_slow"]
        return tuple(dict.fromkeys(codes))

    async def serve(self, request: Request, deps: Deps) -> Response:
        guarded = self.method not in SAFE_METHODS and self.access.from_pages
        if guarded and not same_site(request, deps.settings.public_url):
            raise Problem("cross_site")
        token = request.cookies.get(COOKIE)
        visitor = await deps.accounts.person(token) if token else None
        self.access.check(visitor)
        call = Call(request, deps, visitor)
        return respond(await self.handler(call, *await self._arguments(request, deps)), self.status, deps)

    async def _arguments(self, request: Request, deps: Deps) -> list[Any]:
        arguments: list[Any] = []
        if self.query:
            arguments.append(bodies.query(request, self.query))
        if self.body:
            arguments.append(await bodies.json_body(request, self.body))
        if self.upload:
            most_bytes = deps.settings.limit_upload_bytes
            arguments.append(await bodies.upload(request, self.upload.content_types, most_bytes))
        return arguments


def or_null(content: msgspec.Struct | None) -> Response:
    """For operations whose answer may be JSON `null`."""
    return Response(msgspec.json.encode(content), 200, {"cache-control": "no-store"}, "application/json")


def respond(result: Any, status: int, deps: Deps) -> Response:
    if isinstance(result, Response):
        return result
    reply = result if isinstance(result, Reply) else Reply(result, status)
    content = b"" if reply.content is None else msgspec.json.encode(reply.content)
    headers = {"cache-control": "no-store", **reply.headers}
    code = 204 if reply.content is None and reply.status == 200 else reply.status
    media_type = None if reply.content is None else "application/json"
    response = Response(content, code, headers, media_type)
    if reply.session_token is not None:
        _set_cookie(response, reply.session_token, secure=deps.settings.public_url.startswith("https:"))
    return response


def _set_cookie(response: Response, token: str, *, secure: bool) -> None:
    if not token:
        response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="lax")
        return
    life_s = 30 * 24 * 3600
    response.set_cookie(COOKIE, token, max_age=life_s, path="/", secure=secure, httponly=True, samesite="lax")
