"""Telling a show's room, and the media nodes, that it started or ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from redis.exceptions import RedisError

from overlay.log import LogError, ShowLog
from overlay.messages import ShowEnded, ShowStarted

_log = structlog.get_logger("hawker.web")
_DEADLINE_S = 3.0


class LoggedRooms:
    """Writes into the show log. Event ids are the show's own, so telling again is one event.

    While Redis is away nothing is told and nothing is lost: the show's state is in PostgreSQL, rooms that
    open anew start from it, and starting or ending again tells again.
    """

    def __init__(
        self, log: ShowLog, tell_nodes: Callable[[str], Awaitable[None]], clock: Callable[[], datetime]
    ) -> None:
        """`tell_nodes(show_id)` sends a show's publisher and viewers away when it ends."""
        self._show_log, self._tell_nodes, self._clock = log, tell_nodes, clock

    async def show_started(self, show_id: str, by: str) -> None:
        at_ms = int(self._clock().timestamp() * 1000)
        await self._append(show_id, f"show-started-{show_id}", ShowStarted(n=0, at_ms=at_ms, by=by))

    async def show_ended(self, show_id: str, by: str) -> None:
        at_ms = int(self._clock().timestamp() * 1000)
        await self._append(show_id, f"show-ended-{show_id}", ShowEnded(n=0, at_ms=at_ms, by=by))
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._tell_nodes(show_id)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("nodes_not_told", show_id=show_id, error=type(error).__name__)

    async def _append(self, show_id: str, event_id: str, event: ShowStarted | ShowEnded) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._show_log.append(show_id, event_id, event)
        except (LogError, RedisError, OSError, TimeoutError) as error:
            _log.warning("room_not_told", show_id=show_id, error=type(error).__name__)
