"""What browsers are told to allow: one strict policy, opened only for what this installation uses."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.config import Settings
from server.routes.network import origin_of
from server.routes.whip import CORS

_STRIPE_SCRIPT = ("https://js.stripe.com",)
_STRIPE_FRAMES = ("https://js.stripe.com", "https://hooks.stripe.com")
_STRIPE_API = ("https://api.stripe.com",)


def content_security_policy(settings: Settings) -> dict[str, tuple[str, ...]]:
    """CSP level 3 directives. Redirects count: a WHEP request goes on to the stream origin."""
    overlay = origin_of(settings.overlay_public_url)
    streams = dict.fromkeys((origin_of(settings.stream_public_url), *settings.stream_origins))
    simulator = (origin_of(settings.stripe_api_url),) if settings.stripe_api_url else ()
    stripe = not simulator and bool(settings.stripe_publishable_key)
    return {
        "default-src": ("'none'",),
        "script-src": ("'self'", *(_STRIPE_SCRIPT if stripe else ())),
        "style-src": ("'self'",),
        "img-src": ("'self'", "blob:", "data:"),
        "font-src": ("'self'",),
        "media-src": ("'self'", "blob:"),
        "worker-src": ("'self'", "blob:"),
        "manifest-src": ("'self'",),
        "connect-src": ("'self'", overlay, *streams, *simulator, *(_STRIPE_API if stripe else ())),
        "frame-src": simulator or (_STRIPE_FRAMES if stripe else ("'none'",)),
        "object-src": ("'none'",),
        "base-uri": ("'none'",),
        "form-action": ("'self'",),
    }


class SecurityHeaders:
    """Puts the policy on every response. Pages below /embed may be framed by the allowed origins."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._https = urlsplit(settings.public_url).scheme == "https"
        directives = content_security_policy(settings)
        self._policy = "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())
        self._framers = " ".join(("'self'", *settings.allowed_origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), path)
            await send(message)

        await self._app(scope, receive, guarded)

    def _add(self, headers: MutableHeaders, path: str) -> None:
        embedded = path.startswith("/embed/")
        ancestors = self._framers if embedded else "'none'"
        headers["content-security-policy"] = f"{self._policy}; frame-ancestors {ancestors}"
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "strict-origin-when-cross-origin"
        headers["permissions-policy"] = _permissions(path)
        headers["cross-origin-opener-policy"] = "same-origin"
        if not embedded:
            headers["x-frame-options"] = "DENY"
        if self._https:
            headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
        if path == "/whip" or path.startswith("/whep/"):
            headers.update(CORS)


def _permissions(path: str) -> str:
    """Camera, microphone and screen in the studio alone; paying with the browser's help everywhere."""
    studio = "(self)" if path.startswith("/studio/") else "()"
    return (
        f"camera={studio}, microphone={studio}, display-capture={studio}, "
        "geolocation=(), usb=(), serial=(), midi=(), payment=(self)"
    )
