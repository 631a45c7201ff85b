"""One HTTP server for a role: an ASGI application on a socket bound before anything else is started."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp

from server.embedded.errors import StartError

_BACKLOG = 1024
_START_S = 10.0
_STOP_S = 5.0


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens on the address. Raises StartError `port_in_use` or `bad_address`.

    Two sockets may be bound to one address while neither listens, so a port is had once it is listened on.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise StartError(
            "bad_address", f"{host} is no address of this machine: {error}.", "Set another."
        ) from error
    try:
        if port:  # a number of the system's choice must not be one that somebody is about to listen on
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        code = "port_in_use" if error.errno == errno.EADDRINUSE else "bad_address"
        raise StartError(
            code, f"{host}:{port} can't be had: {error.strerror}.", "Stop what uses it, or set another port."
        ) from error
    return bound


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Serves for the time of the `async with`; requests under way get `_STOP_S` to end."""
    config = uvicorn.Config(
        app,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=int(_STOP_S),
        limit_concurrency=2000,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]), name="http")
    try:
        async with asyncio.timeout(_START_S):
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_STOP_S + 1):
                await asyncio.shield(task)
        task.cancel()


class _Server(uvicorn.Server):
    """Signals belong to the role, not to its HTTP server."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield
