"""Product images, in the widths they were made in."""

from __future__ import annotations

from starlette.responses import Response

from server.images import WIDTHS
from server.problems import Problem
from server.routes.operation import Call, Operation


async def image(call: Call) -> Response:
    """An image never changes under its address: it is cached for ever."""
    image_id, width = call.path("image_id"), int(call.path("width"))
    if width not in WIDTHS:
        raise Problem("no_such_image", f"Images come {', '.join(map(str, WIDTHS))} pixels wide.")
    mark = f'"{image_id}-{width}"'
    headers = {"cache-control": "public, max-age=31536000, immutable", "etag": mark}
    if call.request.headers.get("if-none-match") == mark:
        return Response(b"", 304, headers)
    content = await call.deps.images.file(image_id, width)
    if content is None:
        raise Problem("no_such_image")
    return Response(content, 200, headers, "image/webp")


OPERATIONS = (
    Operation(
        "GET",
        "/media/{image_id:uuid}/{width:int}.webp",
        image,
        "An image, 96, 320, 640 or 1280 pixels wide",
        media_type="image/webp",
        errors=("no_such_image",),
    ),
)
