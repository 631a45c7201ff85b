"""The show log in Redis or Valkey: dedupes by event id, numbers, keeps and publishes a show's events.

Any process may append (`ShowLog(redis).append(...)` needs nothing else); processes that hold a room's state
also give new epochs their base and move it forward. An offset is (epoch, number). When the store was wiped,
the next append or open begins a new epoch. The rules that must be atomic are in log.lua.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from overlay.frames import Offset, ShowId
from overlay.messages import AnyEvent, Snapshot

ENTRIES_KEPT = 5_000
HISTORY = 1_000
REMEMBER_S = 900
LOG_KEPT_S = 14 * 24 * 3600


class LogError(Exception):
    """The log did not do what was asked."""


class LogUnavailable(LogError):
    """The store did not answer in time or is not there. Whether an append happened is not known: repeat it
    with the same event id."""


class Entry(Struct, frozen=True):
    """One event of the log, numbered, with the id it was deduplicated by."""

    event_id: str
    event: AnyEvent


class Stored(Struct, frozen=True):
    """What the log holds: a base state, and entries without gaps that reach to `offset`.

    The entries may begin before the base (history, for resuming) and always reach past it.
    """

    offset: Offset
    base: Snapshot
    entries: tuple[Entry, ...]


def open_redis(url: str, *, connections: int = 64, deadline_s: float = 2.0) -> Redis:
    """A client as the room wants it: commands never run twice, every wait has an end.

    redis-py by default repeats a command whose answer was lost; here only the caller may, with the same event
    id.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=deadline_s,
        socket_timeout=deadline_s,
        socket_connect_timeout=deadline_s,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def events_channel(show_id: str) -> str:
    return f"hawker:{{{show_id}}}:events"


class ShowLog:
    """The logs of all shows, over one client. Safe to share between tasks."""

    def __init__(self, redis: Redis | RedisCluster, *, deadline_s: float = 2.0) -> None:
        self._redis = redis
        self._deadline_s = deadline_s

    async def load_library(self) -> None:
        """Put the functions on every primary. Calls do it by themselves where they are missing."""
        source = files("overlay").joinpath("log.lua").read_text()
        await self._within_deadline(self._redis.function_load(source, replace=True))

    async def append(
        self,
        show_id: str,
        event_id: str,
        event: AnyEvent,
        *,
        remember_s: int = REMEMBER_S,
    ) -> Offset:
        """Number, keep and publish `event` (its `n` is ignored). The same event id again: the same offset.

        Raises LogUnavailable.
        """
        keys = [*_keys(show_id), f"hawker:{{{show_id}}}:seen:{event_id}"]
        args = [
            event_id,
            msgspec.json.encode(event),
            events_channel(show_id),
            _new_epoch(),
            ENTRIES_KEPT,
            remember_s * 1000,
            LOG_KEPT_S * 1000,
        ]
        epoch, number = await self._call("add", keys, args)
        return Offset(_text(epoch), int(number))

    async def seen(self, show_id: str, event_id: str) -> Offset | None:
        """Where an event id was appended, if it was and is still remembered. Raises LogUnavailable."""
        key = f"hawker:{{{show_id}}}:seen:{event_id}"
        value = await self._within_deadline(self._redis.get(key))
        if value is None:
            return None
        epoch, number = _text(value).split(" ")
        return Offset(epoch, int(number))

    async def head(self, show_id: str) -> Offset | None:
        """The offset of the last event; None where there is no epoch."""
        epoch, number = await self._within_deadline(self._redis.hmget(_keys(show_id)[0], ["epoch", "number"]))
        return None if epoch is None else Offset(_text(epoch), int(number))

    async def open(self, show_id: ShowId, base: Snapshot, replaces: Offset | None = None) -> Offset:
        """Make sure that there is an epoch with a base; `base` becomes it where there was none.

        An epoch that is `replaces`, and has not moved on from there, gives way to a new one.
        """
        old = replaces or Offset("", 0)
        args = [_new_epoch(), msgspec.json.encode(base), old.epoch, old.number, LOG_KEPT_S * 1000]
        epoch, number = await self._call("open", _keys(show_id), args)
        return Offset(_text(epoch), int(number))

    async def checkpoint(self, show_id: ShowId, state: Snapshot) -> None:
        """Let later readers start from `state` instead of from an older base."""
        head, _, base = _keys(show_id)
        at = state.offset
        args = [at.epoch, at.number, msgspec.json.encode(state), LOG_KEPT_S * 1000]
        await self._call("checkpoint", [head, base], args)

    async def tail(self, show_id: ShowId, after: Offset, event_id: str | None) -> tuple[Entry, ...] | None:
        """The entries after an offset whose own event id is `event_id` (None: not known, not compared).

        None where the log is another by now (wiped, rolled back, written anew) or forgot entries in between.
        """
        reply = await self._call("read", _keys(show_id), [after.number, 0])
        if not reply or _text(reply[0]) != after.epoch or int(reply[1]) < after.number:
            return None
        entries = _entries(reply[4])
        if after.number:
            if not entries or entries[0].event.n != after.number:
                return None
            if event_id is not None and entries[0].event_id != event_id:
                return None
            entries = entries[1:]
        return entries if _without_gaps(entries, after.number, int(reply[1])) else None

    async def whole(self, show_id: ShowId) -> Stored | Offset | None:
        """Base and entries; an Offset where the epoch has no readable base; None without an epoch."""
        reply = await self._call("read", _keys(show_id), ["", HISTORY])
        if not reply:
            return None
        head = Offset(_text(reply[0]), int(reply[1]))
        base_number, entries = int(reply[2]), _entries(reply[4])
        later = tuple(entry for entry in entries if entry.event.n > base_number)
        if base_number < 0 or not _without_gaps(later, base_number, head.number):
            return head
        base = replace(_SNAPSHOT.decode(reply[3]), offset=Offset(head.epoch, base_number))
        return Stored(head, base, entries if _without_gaps(entries, None, head.number) else later)

    async def _call(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        function = f"hawker_log_{name}"
        try:
            return await self._within_deadline(self._redis.fcall(function, len(keys), *keys, *args))
        except ResponseError as error:
            if "Function not found" not in str(error):
                raise
        await self.load_library()
        return await self._within_deadline(self._redis.fcall(function, len(keys), *keys, *args))

    async def _within_deadline(self, answer: Any) -> Any:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await answer
        except ResponseError as error:
            if _is_passing(error):
                raise LogUnavailable(str(error)) from error
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error


_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_SNAPSHOT = msgspec.json.Decoder(Snapshot)


def parse_published(message: bytes) -> tuple[str, Entry]:
    """The epoch and the entry of a message on `events_channel`."""
    epoch, number, event_id, body = message.split(b"\n", 3)
    return epoch.decode(), _entry(int(number), event_id, body)


def _keys(show_id: str) -> list[str]:
    return [f"hawker:{{{show_id}}}:{name}" for name in ("head", "log", "base")]


def _new_epoch() -> str:
    return secrets.token_hex(8)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _entry(number: int, event_id: bytes | str, body: bytes | str) -> Entry:
    return Entry(_text(event_id), replace(_EVENT.decode(body), n=number))


def _entries(rows: Sequence[Any]) -> tuple[Entry, ...]:
    return tuple(_entry(int(_text(row[0]).split("-")[0]), row[1][1], row[1][3]) for row in rows)


def _without_gaps(entries: Sequence[Entry], after: int | None, until: int) -> bool:
    first = (entries[0].event.n if entries else until + 1) if after is None else after + 1
    return [entry.event.n for entry in entries] == list(range(first, until + 1))


def _is_passing(error: ResponseError) -> bool:
    """Whether the store will be well again by itself, or once it has memory or a primary again."""
    return isinstance(error, _PASSING) or str(error).startswith(("NOREPLICAS", "MISCONF", "BUSY"))


_PASSING = (ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
