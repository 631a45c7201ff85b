"""One line to the payment provider for all processes: its limit holds for the account, not for each."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.payments.rate_limit import RateLimit, TokenBucket

_LOG = logging.getLogger("hawker.store.turns")
_SCRIPT = Path(__file__).with_name("turns.lua").read_text()
_ALONE_SHARE = 0.25
_US = 1_000_000


class SharedTurns:
    """`payments.gateway.Turns` in Valkey, by its clock. While that doesn't answer within `deadline_s` each
    process goes by itself with a quarter of the limit: paying goes on, a little slower."""

    def __init__(
        self,
        redis: Redis,
        account: str,
        limit: RateLimit,
        *,
        deadline_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._key = f"hawker:provider:{hashlib.sha256(account.encode()).hexdigest()[:16]}:turns"
        self._limit, self._deadline_s, self._clock = limit, deadline_s, clock
        alone = RateLimit(
            limit.per_s * _ALONE_SHARE, max(1, int(limit.burst * _ALONE_SHARE)), limit.max_wait_s
        )
        self._alone = TokenBucket(alone)

    async def take(self) -> float | None:
        limit = self._limit
        args = [round(_US / limit.per_s), limit.burst, round(limit.max_wait_s * _US)]
        try:
            async with asyncio.timeout(self._deadline_s):
                wait_us = await self._script(keys=[self._key], args=args)
        except (RedisError, OSError, TimeoutError) as error:
            _LOG.info("turns_by_ourselves", extra={"error": str(error)})
            return self._alone.take(self._clock())
        return None if wait_us < 0 else wait_us / _US

    def wait_s(self) -> float:
        """How long one who was turned away does well to wait: the whole line."""
        return self._limit.max_wait_s
