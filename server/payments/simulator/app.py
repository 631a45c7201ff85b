"""The simulator as a program: HTTP around the API, with faults, admin endpoints and webhooks.

/v1/…            Stripe's API                     /_3ds/:intent   the bank's page: approve or refuse
/healthz         ready, and what each part is     /_faults /_clock   admin, with the secret key
/metrics         counters, Prometheus text        /_dashboard/refunds /_bank/returns   acts without the API
"""

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.payments.rate_limit import RateLimit, TokenBucket
from server.payments.simulator.api import ACTS, Api, Reply, Request
from server.payments.simulator.errors import (
    ApiError,
    KeyInUse,
    ServerFault,
    TooMany,
    Unauthorized,
    Unavailable,
)
from server.payments.simulator.faults import FaultPlan, Faults
from server.payments.simulator.ledger import Ledger, Obj, new_id
from server.payments.simulator.settings import SimulatorSettings
from server.payments.simulator.webhooks import WebhookSender

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_BODY_MAX = 256 * 1024
_KEEP_ALIVE_S = 75  # longer than any client's idle pool, so that no POST meets a closing connection
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Request-Id"),
]
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, idempotency-key, stripe-version"),
    (b"access-control-max-age", b"300"),
]


class PortInUse(Exception):
    """The address is taken, or not ours to take; `code` is port_in_use."""

    code = "port_in_use"


class _ConnectionCut(Exception):
    """The client gets no answer."""


class Simulator:
    """An ASGI application. `clock` is the wall clock; `/_clock` adds what tests of old keys need."""

    def __init__(self, settings: SimulatorSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._ledger = Ledger(settings.state_path)
        self._wall = clock
        self._ahead_s = float(self._ledger.setting("clock_ahead_s", "0"))
        self._faults = Faults(settings.faults)
        self._api = Api(self._ledger, settings.secret_key, settings.publishable_key, self.now, self._announce)
        self._in_use: set[str] = set()
        self._answers: Counter[int] = Counter()
        limit = settings.rate_limit_per_s
        self._bucket = (
            TokenBucket(RateLimit(limit, burst=max(1, int(limit)), max_wait_s=0)) if limit else None
        )
        self.webhooks = WebhookSender(self._ledger, settings)

    def now(self) -> float:
        """The account's time."""
        return self._wall() + self._ahead_s

    def close(self) -> None:
        """Give the state file back."""
        self._ledger.close()

    def _announce(self, event: Obj) -> None:
        if not self._settings.webhook_url:
            return
        for delay_s in self._faults.webhook_delays_s():
            due = time.time() + delay_s
            self._ledger.enqueue(event, due, at_most=self._settings.webhooks_waiting_max)
        self.webhooks.wake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP exchange."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except _ConnectionCut:
            scope["extensions"]["cut"]()
            return
        except ApiError as error:
            reply = Reply(error.status, json.dumps(error.body()).encode())
        self._answers[reply.status] += 1
        await _send(reply, send, preflight=scope["method"] == "OPTIONS")

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        path = scope["path"]
        if scope["method"] == "OPTIONS":
            return Reply(204, b"")
        if path == "/healthz":
            return _json(self.health())
        if path == "/metrics":
            return Reply(200, self._metrics().encode())
        if path.startswith("/v1/") and self._faults.plan.down and path != "/v1/_audit":
            return self._down()
        request = await _read(scope, receive)
        if path.startswith("/_3ds/"):
            return self._api.authenticate(request, path.removeprefix("/_3ds/"))
        if path in ("/_faults", "/_clock", *ACTS):
            return self._admin(request)
        return await self._call(request)

    def _down(self) -> Reply:
        if self._faults.plan.down == "refused":
            raise _ConnectionCut
        raise Unavailable("The payment provider is down (injected).")

    async def _call(self, request: Request) -> Reply:
        if request.path == "/v1/_audit":
            return self._api.answer(request)
        self._limit(request.path)
        async with self._claimed(request):
            await asyncio.sleep(self._faults.latency_s(request.path))
            fault, lag_s = self._server_fault(request.path), self._faults.list_lag_s(request.path)
            reply = self._api.answer(request, fault, list_lag_s=lag_s)
        if self._faults.strikes("reply_lost", request.path):
            raise _ConnectionCut
        return reply

    def _limit(self, path: str) -> None:
        over = self._bucket is not None and self._bucket.take(self._wall()) is None
        if over or self._faults.strikes("rate_limited", path):
            raise TooMany

    @contextlib.asynccontextmanager
    async def _claimed(self, request: Request) -> AsyncIterator[None]:
        """Two requests with one key never run at once."""
        key = request.idempotency_key
        if key is None or request.method != "POST":
            yield
            return
        if key in self._in_use:
            raise KeyInUse(key)
        self._in_use.add(key)
        try:
            yield
        finally:
            self._in_use.discard(key)

    def _server_fault(self, path: str) -> ServerFault | None:
        if self._faults.strikes("server_error", path):
            return ServerFault(effects_kept=False)
        if self._faults.strikes("server_error_after", path):
            return ServerFault(effects_kept=True)
        return None

    def _admin(self, request: Request) -> Reply:
        """`/_faults`: read or replace the plan. `/_clock`: move the account's time forward by `advance_s`.
        `/_dashboard/refunds` takes what `/v1/refunds` takes, `/_bank/returns` a `refund`."""
        if not self._api.admits(request.authorization):
            raise Unauthorized("The secret key is needed here.")
        if request.path in ACTS:
            return self._api.act(request)
        if request.method == "POST":
            try:
                self._change(request.path, json.loads(request.form or "{}"))
            except (TypeError, ValueError) as error:
                return _json({"error": {"code": "invalid_setting", "message": str(error)}}, 400)
        if request.path == "/_clock":
            return _json({"now": self.now(), "ahead_s": self._ahead_s})
        return _json(self._faults.plan.as_json())

    def _change(self, path: str, wish: Any) -> None:
        if path == "/_faults":
            self._faults = Faults(FaultPlan.parse(wish))
            return
        self._ahead_s += max(0.0, float(wish["advance_s"] if isinstance(wish, dict) else wish))
        self._ledger.set_setting("clock_ahead_s", str(self._ahead_s))

    def health(self) -> Obj:
        """What `/healthz` says."""
        return {
            "status": "ok",
            "role": "simulator",
            "payments": "demo",
            "parts": {
                "state": "ok",
                "webhooks": {"url": self._settings.webhook_url, "waiting": self._ledger.waiting()},
                "faults": "injected"
                if self._faults.plan != FaultPlan(seed=self._faults.plan.seed)
                else "none",
            },
        }

    def _metrics(self) -> str:
        lines = [
            f'hawker_simulator_answers_total{{status="{status}"}} {count}'
            for status, count in sorted(self._answers.items())
        ]
        lines += [
            f"hawker_simulator_webhooks_sent_total {self.webhooks.sent}",
            f"hawker_simulator_webhooks_failed_total {self.webhooks.failed}",
            f"hawker_simulator_webhooks_waiting {self._ledger.waiting()}",
        ]
        return "\n".join(lines) + "\n"


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


async def _read(scope: Scope, receive: Receive) -> Request:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    body = b""
    while scope["method"] == "POST":
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _BODY_MAX:
            error = ApiError(f"The request is larger than {_BODY_MAX} bytes.", code="request_too_large")
            error.status = 413
            raise error
        if not message.get("more_body"):
            break
    encoded = body if scope["method"] == "POST" else scope["query_string"]
    return Request(
        scope["method"],
        scope["path"],
        encoded.decode("utf-8", "replace"),
        headers.get(b"authorization", ""),
        headers.get(b"idempotency-key"),
        headers.get(b"stripe-account", ""),
    )


async def _send(reply: Reply, send: Send, *, preflight: bool) -> None:
    text = b"text/plain" if reply.body and not reply.body.startswith((b"{", b"[")) else b"application/json"
    headers = [
        (b"content-type", text),
        (b"content-length", str(len(reply.body)).encode()),
        (b"request-id", new_id("req").encode()),
        (b"cache-control", b"no-store"),
        *_CORS,
    ]
    headers += _PREFLIGHT if preflight else []
    headers += [(b"idempotent-replayed", b"true")] if reply.replayed else []
    headers += [(b"retry-after", b"1")] if reply.status == 429 else []
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


class _CuttableProtocol(H11Protocol):
    """Lets the application cut its connection without an answer, as a failing network would."""

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None:
            self.scope.setdefault("extensions", {})["cut"] = self.transport.abort  # type: ignore[assignment]


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(
    settings: SimulatorSettings,
    on_ready: Callable[[str], None] = lambda url: None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Run until SIGTERM, SIGINT or cancellation. `on_ready` gets the base URL, such as `http://127.0.0.1:12111`.

    Raises PortInUse, and StateUnusable when another simulator holds the state file.
    """
    try:
        sock = socket.create_server((settings.host, settings.port), backlog=1024)
    except OSError as error:
        raise PortInUse(
            f"port_in_use: {settings.host}:{settings.port}: {error.strerror}; choose another"
        ) from None
    # Its connections inherit it. asyncio skips sockets made this way, and each answer would wait 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.closing(sock), contextlib.closing(Simulator(settings, clock)) as simulator:
        server = _Server(
            uvicorn.Config(
                simulator,
                http=_CuttableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=3,
            )
        )
        sender = asyncio.create_task(simulator.webhooks.run())
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            with _stopped_by_signals(server):
                on_ready(f"http://{settings.host}:{sock.getsockname()[1]}")
                await asyncio.shield(serving)
        finally:
            server.should_exit = True
            sender.cancel()
            await asyncio.gather(serving, sender, return_exceptions=True)


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
