"""One process's ear: a pub/sub connection that comes back by itself.

While it is away messages are lost; `on_back` is called once it hears again, so that the rooms catch up from
their logs. A silent connection is asked for a sign of life, and given up when none comes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PING_AFTER_S = 2.0
DEAD_AFTER_S = 6.0
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
DEADLINE_S = 2.0
CHANNELS_A_COMMAND = 500


class Listener:
    """Calls `on_message(channel, data)` for each message. Both callbacks return at once."""

    def __init__(
        self, redis: Redis, on_message: Callable[[str, bytes], None], on_back: Callable[[], None]
    ) -> None:
        self._redis = redis
        self._on_message = on_message
        self._on_back = on_back
        self._channels: set[str] = set()
        self._confirmations: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._sending = asyncio.Lock()
        self.hears = False

    async def subscribe(self, channel: str) -> None:
        """Returns when the store has confirmed. While it is away: at once, and subscribed on return."""
        if channel in self._channels:
            return
        self._channels.add(channel)
        confirmed = self._confirmations.setdefault(channel, asyncio.Event())
        try:
            async with asyncio.timeout(DEADLINE_S):
                if await self._send("subscribe", [channel]):
                    await confirmed.wait()
        except TimeoutError:
            logger.warning("subscription to %s was not confirmed in time", channel)
        finally:
            self._confirmations.pop(channel, None)

    async def unsubscribe(self, *channels: str) -> None:
        gone = self._channels.intersection(channels)
        self._channels -= gone
        if gone:
            await self._send("unsubscribe", sorted(gone))

    async def run(self) -> None:
        tries = 0
        while True:
            try:
                async with self._redis.pubsub() as self._pubsub:
                    await self._greet(self._pubsub)
                    tries = 0
                    await self._listen(self._pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                logger.warning("not hearing the store: %s", error)
            finally:
                self._pubsub, self.hears = None, False
            await asyncio.sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)] * random.uniform(0.5, 1))
            tries += 1

    async def _greet(self, pubsub: PubSub) -> None:
        """Subscribe to everything; the answer to the ping then says that all of it has taken hold."""
        async with asyncio.timeout(DEADLINE_S), self._sending:
            channels = sorted(self._channels)
            for start in range(0, len(channels), CHANNELS_A_COMMAND):
                await pubsub.subscribe(*channels[start : start + CHANNELS_A_COMMAND])
            await pubsub.ping()

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        while True:
            message = await pubsub.get_message(timeout=PING_AFTER_S)
            if message is not None:
                heard_s = loop.time()
                self._handle(message)
            elif loop.time() - heard_s > DEAD_AFTER_S:
                raise TimeoutError("no sign of life")
            else:
                await self._send("ping", [])

    def _handle(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "message":
                channel = _text(message["channel"])
                try:
                    self._on_message(channel, _bytes(message["data"]))
                except Exception:
                    logger.exception("a message on %s could not be handled", channel)
            case "subscribe":
                if confirmed := self._confirmations.get(_text(message["channel"])):
                    confirmed.set()
            case "pong" if not self.hears:
                self.hears = True
                self._on_back()

    async def _send(self, command: str, args: Iterable[str]) -> bool:
        """False where there is no connection to send on; the next one subscribes to everything."""
        try:
            async with self._sending:
                if self._pubsub is None or self._pubsub.connection is None:
                    return False
                await getattr(self._pubsub, command)(*args)
        except (RedisError, OSError) as error:
            logger.warning("not hearing the store: %s", error)
            return False
        return True


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
