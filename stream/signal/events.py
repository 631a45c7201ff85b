"""A viewer's server-sent events (draft-ietf-wish-whep, the server-sent-events extension).

A stream keeps the newest news of each kind and nothing else, so a reader that falls behind costs no memory
and is never told what is no longer true.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from .errors import MalformedError, NoSuchSessionError, UnavailableError

EVENTS = ("active", "inactive", "layers", "reconnect", "viewercount")
MAX_STREAMS = 6000
"""A node's: each holds an HTTP connection for as long as its viewer stays."""
MAX_STREAMS_A_SESSION = 4
"""One more ends the oldest, whose reader may have gone without a word: a phone that changed its network."""
PACE_S = 0.5
"""Between two writes to one reader."""
KEEP_ALIVE_S = 15.0
"""Proxies close what has been silent for a minute, some for thirty seconds."""

_SUPERSEDES = {"active": "state", "inactive": "state"}
_URGENT = ("reconnect",)
"""Told again when it is said again; of the rest only what has changed."""


def read_wanted(body: str) -> tuple[str, ...]:
    """The events that a client asks for: a JSON array of names, all of which we must know."""
    try:
        names = json.loads(body) if body.strip() else list(EVENTS)
    except (ValueError, RecursionError) as error:
        raise MalformedError("send a JSON array of event names", code="malformed_json") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedError("send a JSON array of event names", code="malformed_json")
    unknown = [name for name in names if name not in EVENTS]
    if unknown:
        raise MalformedError(
            f"there is no event {unknown[0][:40]!r}; there are {', '.join(EVENTS)}", code="event_unknown"
        )
    return known(names)


def known(names: Iterable[str]) -> tuple[str, ...]:
    asked = set(names)
    return tuple(name for name in EVENTS if name in asked)


class EventStream:
    """`tell` never waits; `read` is the one reader's, and ends after `close`, or when another reader comes.

    `name` is what its address ends with; nobody can guess it.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self.wanted = frozenset(wanted)
        self.name = secrets.token_hex(8)
        self._readers = 0
        self._news: dict[str, tuple[str, str]] = {}
        self._last: dict[str, tuple[str, str]] = {}
        self._is_closed = False
        self._wake = asyncio.Event()

    def tell(self, event: str, data: Mapping[str, Any]) -> None:
        self.tell_text(event, json.dumps(data))

    def tell_text(self, event: str, text: str) -> None:
        """The same, of data that is JSON already."""
        if event not in self.wanted or self._is_closed:
            return
        kind, news = _SUPERSEDES.get(event, event), (event, text)
        if self._last.get(kind) != news or event in _URGENT:
            self._last[kind] = self._news[kind] = news
            self._wake.set()

    def begin(self, news: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """How things stand, but for `inactive`: it tells of an end, and nothing has ended yet."""
        for event, data in news:
            if event == "inactive":
                self._last[_SUPERSEDES[event]] = (event, json.dumps(data))
            else:
                self.tell(event, data)

    def close(self) -> None:
        """What was told before is still read."""
        self._is_closed = True
        self._wake.set()

    async def read(self) -> AsyncIterator[str]:
        self._readers += 1
        mine = self._readers
        self._wake.set()  # an earlier reader, to go
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await self._wake.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if mine != self._readers:
                return
            self._wake.clear()
            news, self._news = self._news, {}
            if news:
                yield "".join(f"event: {event}\ndata: {data}\n\n" for event, data in news.values())
            if self._is_closed and not self._news:
                return
            await asyncio.sleep(0 if self._is_closed else PACE_S)


class _Listeners:
    """One broadcast's: by session, to end with it, and by event, so that nobody is asked who wants none."""

    def __init__(self) -> None:
        self.by_session: dict[str, list[EventStream]] = {}
        self.by_event: dict[str, dict[EventStream, None]] = {event: {} for event in EVENTS}

    def add(self, session: str, stream: EventStream) -> None:
        self.by_session.setdefault(session, []).append(stream)
        for event in stream.wanted:
            self.by_event[event][stream] = None

    def remove(self, session: str, stream: EventStream) -> None:
        left = [held for held in self.by_session[session] if held is not stream]
        if left:
            self.by_session[session] = left
        else:
            del self.by_session[session]
        for event in stream.wanted:
            self.by_event[event].pop(stream, None)


class EventStreams:
    """Who listens: a session's streams end with it."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listeners] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, broadcast: str, session: str, stream: EventStream) -> None:
        held = self._of(broadcast, session)
        if len(held) >= MAX_STREAMS_A_SESSION:
            held[0].close()
            self.remove(broadcast, session, held[0])
        if self._count >= MAX_STREAMS:
            raise UnavailableError(
                "no more event streams here; ask the session's state again later",
                code="too_many_event_streams",
                retry_after_s=30,
            )
        self._listeners.setdefault(broadcast, _Listeners()).add(session, stream)
        self._count += 1

    def find(self, broadcast: str, session: str, name: str) -> EventStream:
        for stream in self._of(broadcast, session):
            if stream.name == name:
                return stream
        raise NoSuchSessionError("no such event stream; it was ended", code="event_stream_not_found")

    def remove(self, broadcast: str, session: str, stream: EventStream) -> None:
        """Again is nothing."""
        if stream not in self._of(broadcast, session):
            return
        listeners = self._listeners[broadcast]
        listeners.remove(session, stream)
        self._count -= 1
        if not listeners.by_session:
            del self._listeners[broadcast]

    def tell(self, broadcast: str, news: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Serialised once, and only what somebody wants to hear."""
        listeners = self._listeners.get(broadcast)
        if listeners is None:
            return
        for event, data in news:
            if listeners.by_event[event]:
                text = json.dumps(data)
                for stream in listeners.by_event[event]:
                    stream.tell_text(event, text)

    def ask_away(self, broadcast: str, session: str) -> bool:
        """Asks a session to begin anew elsewhere; it goes on until then. False when nobody listens."""
        return self.tell_session(broadcast, session, "reconnect", {})

    def tell_session(self, broadcast: str, session: str, event: str, data: Mapping[str, Any]) -> bool:
        """One session's listeners alone; False when none of them wants to hear that."""
        streams = [held for held in self._of(broadcast, session) if event in held.wanted]
        for stream in streams:
            stream.tell(event, data)
        return bool(streams)

    def end(self, broadcast: str, session: str, *, reconnect: bool) -> None:
        """The session is over; `reconnect` says that another one would be welcome."""
        for stream in self._of(broadcast, session):
            if reconnect:
                stream.tell("reconnect", {})
            stream.close()
            self.remove(broadcast, session, stream)

    def end_all(self) -> None:
        for broadcast, listeners in list(self._listeners.items()):
            for session in list(listeners.by_session):
                self.end(broadcast, session, reconnect=True)

    def _of(self, broadcast: str, session: str) -> list[EventStream]:
        listeners = self._listeners.get(broadcast)
        return listeners.by_session.get(session, []) if listeners is not None else []
