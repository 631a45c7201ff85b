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
from stream.signal.server import SignalServer
from stream.wire.sockets import TcpPortUnavailableError, open_tcp

_START_S = 10.0
_STOP_S = 5.0


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens on the address. Raises StartError `port_in_use` or `bad_address`."""
    try:
        return open_tcp(host, port)
    except TcpPortUnavailableError as error:
        code = "port_in_use" if error.errno == errno.EADDRINUSE else "bad_address"
        raise StartError(code, f"{error.strerror}.", "Set another address or port.") from error


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
    server = SignalServer(config)
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
