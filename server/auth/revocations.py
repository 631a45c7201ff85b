"""Ended sessions are told at once and again from the outbox, so that sockets close even after a crash."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from overlay.signals import revoke_session
from server.store.pool import Connection
from server.store.rows import tell

_DEADLINE_S = 1.0


async def revoked(db: Connection, session_ids: Sequence[str]) -> None:
    """Write it down in the transaction that ends the sessions."""
    for session_id in session_ids:
        await tell(db, "session_revoked", {"session_id": session_id})


async def announce(redis: Redis, session_ids: Sequence[str]) -> None:
    """Tell now. Failing is no harm: the outbox tells, too."""
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_DEADLINE_S):
            for session_id in session_ids:
                await revoke_session(redis, session_id)
