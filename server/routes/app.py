"""The web role's application: every operation, the pages, and what is put around them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.problems import Problem
from server.routes import (
    about,
    addresses,
    auctions,
    cards,
    errors,
    health,
    media_files,
    openapi,
    orders,
    people,
    products,
    shows,
    staff_catalogue,
    staff_images,
    staff_orders,
    staff_people,
    staff_refund_runs,
    staff_show_keys,
    staff_shows,
    waitlist,
    webhooks,
    whip,
)
from server.routes.deps import Deps
from server.routes.observe import Observed, WebMetrics
from server.routes.operation import Operation
from server.routes.pages import Pages
from server.routes.security import SecurityHeaders

OPERATIONS: tuple[Operation, ...] = (
    *about.OPERATIONS,
    *people.OPERATIONS,
    *shows.OPERATIONS,
    *products.OPERATIONS,
    *media_files.OPERATIONS,
    *addresses.OPERATIONS,
    *cards.OPERATIONS,
    *orders.OPERATIONS,
    *waitlist.OPERATIONS,
    *auctions.OPERATIONS,
    *webhooks.OPERATIONS,
    *staff_shows.OPERATIONS,
    *staff_show_keys.OPERATIONS,
    *staff_catalogue.OPERATIONS,
    *staff_images.OPERATIONS,
    *staff_orders.OPERATIONS,
    *staff_refund_runs.OPERATIONS,
    *staff_people.OPERATIONS,
    *whip.OPERATIONS,
    *health.OPERATIONS,
)


def build(deps: Deps) -> Starlette:
    """The ASGI application. It owns none of the collaborators: close them after it has stopped."""
    described = msgspec.json.encode(openapi.document(OPERATIONS))

    async def api_document(request: Request) -> Response:
        return Response(described, media_type="application/json", headers={"cache-control": "no-cache"})

    return Starlette(
        routes=[
            *_routes(OPERATIONS, deps),
            Route("/api/openapi.json", api_document),
            *_page_routes(Pages(deps.dist)),
        ],
        exception_handlers={Exception: errors.handle, HTTPException: errors.handle, Problem: errors.handle},
        middleware=[
            Middleware(Observed, metrics=WebMetrics.on(deps.metrics)),
            Middleware(SecurityHeaders, settings=deps.settings),
        ],
    )


def _routes(operations: Sequence[Operation], deps: Deps) -> list[Route]:
    """One route a path, so that a wrong method is told which ones there are."""
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[operation.path][operation.method] = operation
    return [_route(path, by_method, deps) for path, by_method in by_path.items()]


def _route(path: str, by_method: dict[str, Operation], deps: Deps) -> Route:
    async def serve(request: Request) -> Response:
        request.scope["hawker.route"] = path
        operation = by_method.get("GET" if request.method == "HEAD" else request.method)
        try:
            if operation is None:
                raise HTTPException(405, headers={"allow": ", ".join(sorted(by_method))})
            return await operation.serve(request, deps)
        except Exception as error:
            return await errors.handle(request, error)

    return Route(path, serve, methods=_EVERY_METHOD)


_EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _page_routes(pages: Pages) -> list[Route]:
    async def nothing(request: Request) -> Response:
        raise Problem("not_found")

    async def page(request: Request) -> Response:
        request.scope["hawker.route"] = "file"
        return pages.respond(request)

    missing = [Route(path + "/{rest:path}", nothing, methods=_EVERY_METHOD) for path in ("/api", "/media")]
    return [*missing, Route("/{rest:path}", page, methods=["GET"])]
