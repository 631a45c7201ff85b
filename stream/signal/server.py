"""The HTTP server under the resources: uvicorn, without its hand on signals, and with a limit on silence.

uvicorn waits for ever for a client that connects and sends no request, or one byte of its headers a minute.
A few thousand of those would keep everybody else out, so they are hung up on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import uvicorn

HEADERS_S = 15.0
"""From connecting, or from the first byte of a next request, to the end of its headers."""
_LOOK_EVERY = 10
"""Of uvicorn's ticks, ten a second."""


class SignalServer(uvicorn.Server):
    """`config.timeout_keep_alive` is for connections that wait between requests; this is for the others."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._silent_since: dict[Any, float] = {}

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Signals belong to whoever runs the process."""
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_EVERY == 0:
            self.hang_up(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def hang_up(self, now: float) -> None:
        silent = filter(_owes_headers, self.server_state.connections)
        self._silent_since = {held: self._silent_since.get(held, now) for held in silent}
        for connection, since in self._silent_since.items():
            if now - since > HEADERS_S:
                connection.transport.abort()


def _owes_headers(connection: Any) -> bool:
    """Neither at a request, nor at rest between two."""
    cycle = connection.cycle
    is_between = (
        cycle is not None and cycle.response_complete and connection.timeout_keep_alive_task is not None
    )
    return (cycle is None or cycle.response_complete) and not is_between
