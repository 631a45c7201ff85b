"""The websockets server of an overlay process: admits, welcomes, takes commands, drains.

Who closes whom: a session closes its own connection (slow, revoked, abusive, turned away); `drain` asks all
sessions to come back elsewhere, spread over `drain_s`; `stop` ends what is left. A purchase under way is
always seen through.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import random
import secrets
import socket
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct
from redis.asyncio import Redis
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin

from overlay.commands import Commands, refused, type_of
from overlay.fanout import frame, framed
from overlay.frames import (
    Offset,
)
from overlay.live import LiveRoom
from overlay.log import LogUnavailable, ShowLog
from overlay.messages import (
    PROTOCOL_VERSION,
    Ack,
    AnyCommand,
    Buy,
    CloseCode,
    Events,
    Hello,
    Refused,
    Snapshot,
    You,
)
from overlay.metrics import Metrics
from overlay.moderation import Meter, may
from overlay.ports import Actor, Clock, Doorman, Refusal, Shop, Visit
from overlay.rooms import Rooms, last_pulse
from overlay.session import BadCommand, Session, TurnedAway, parse

logger = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.WARNING)  # not a line for each connection

BUYING_AT_ONCE = 3
DRAIN_MORE_S = 5.0
GOODBYE_S = 3.0
"""From our close frame to theirs."""
COME_BACK = "come back elsewhere: resume"


class CannotListen(Exception):
    """The address cannot be listened on. `code`: `port_in_use`, `port_not_allowed` or `bad_address`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class OverlaySettings:
    """`allowed_origins` as browsers send them (`https://shop.example`). A connection without Origin is no
    browser; nothing is lost by taking it, since a ticket is all that counts here, never a cookie. `port` 0
    takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8401
    allowed_origins: tuple[str, ...] = ()
    process: str = ""
    max_connections: int = 20_000
    max_frame_bytes: int = 64 * 1024
    send_buffer_bytes: int = 128 * 1024
    hello_s: float = 10.0
    admit_s: float = 5.0
    command_s: float = 5.0
    store_s: float = 2.0
    drain_s: float = 5.0


class _Welcome(Struct, frozen=True, tag_field="type", tag="welcome", omit_defaults=True, kw_only=True):
    """`messages.Welcome` with the snapshot's bytes, which are the same for all who come now."""

    protocol: int
    you: You
    now_ms: int
    offset: Offset
    snapshot: Raw | None = None


class Overlay:
    """One overlay process. `await start()`, then `await drain()` on SIGTERM, then `await stop()`."""

    def __init__(
        self, settings: OverlaySettings, doorman: Doorman, shop: Shop, redis: Redis, clock: Clock
    ) -> None:
        self._settings = settings
        self._doorman = doorman
        self._clock = clock
        self._log = ShowLog(redis, deadline_s=settings.store_s)
        self.metrics = Metrics()
        process = settings.process or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._rooms = Rooms(process, redis, self._log, shop, self.metrics)
        self._commands = Commands(shop, self._log, Meter(), clock, deadline_s=settings.command_s)
        self._sessions: set[Session] = set()
        self._snapshot: tuple[Snapshot | None, Raw] = (None, Raw())
        self._server: Server | None = None
        self._draining = False
        self.port = settings.port

    async def start(self) -> None:
        """Listens, also while the store is down: `/healthz` then says so. Raises CannotListen."""
        settings = self._settings
        listening = _listen(settings.host, settings.port, settings.send_buffer_bytes)
        self.port = int(listening.getsockname()[1])
        try:
            await self._log.load_library()
        except LogUnavailable as error:
            logger.warning("the store is not there yet: %s", error)
        await self._rooms.start()
        self._server = await serve(
            self._serve,
            sock=listening,
            origins=[None, *(Origin(origin) for origin in settings.allowed_origins)],
            compression=None,
            max_size=settings.max_frame_bytes,
            max_queue=4,
            process_request=self._http,
            server_header=None,
            logger=_quiet,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=GOODBYE_S,
        )
        logger.info("listening on %s:%s", settings.host, self.port)

    async def drain(self) -> None:
        """Take nobody in, ask everybody to come back elsewhere, see purchases through."""
        assert self._server is not None
        self._draining = True
        self._server.close(close_connections=False)
        loop = asyncio.get_running_loop()
        for session in tuple(self._sessions):
            after_s = random.uniform(0, self._settings.drain_s)
            loop.call_later(after_s, self._send_away, session)
        try:
            async with asyncio.timeout(self._settings.drain_s + DRAIN_MORE_S):
                await self._server.wait_closed()
        except TimeoutError:
            logger.warning("%d connections did not leave in time", len(self._sessions))

    async def stop(self) -> None:
        if self._server is not None:
            self._draining = True
            self._server.close(code=CloseCode.GOING_AWAY, reason=COME_BACK)
            await self._server.wait_closed()
        await self._rooms.stop()

    def _send_away(self, session: Session) -> None:
        if session in self._sessions:
            session.close(CloseCode.GOING_AWAY, COME_BACK)

    # --- HTTP on the same port ---

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        match request.path.split("?")[0]:
            case "/healthz":
                return self._health(connection)
            case "/metrics":
                text = self.metrics.text().decode()
                return _typed(connection.respond(200, text), "text/plain; version=0.0.4; charset=utf-8")
        if len(self._sessions) >= self._settings.max_connections:
            response = connection.respond(503, "too_many_connections: try again in a few seconds\n")
            response.headers["Retry-After"] = "5"
            return response
        return None

    def _health(self, connection: ServerConnection) -> Response:
        ready = self._rooms.hears and not self._draining
        report = {
            "status": "ok" if ready else "draining" if self._draining else "unavailable",
            "store": "ok" if self._rooms.hears else "down",
            "rooms": len(self._rooms),
            "connections": len(self._sessions),
        }
        return _typed(connection.respond(200 if ready else 503, json.dumps(report)), "application/json")

    # --- one connection ---

    async def _serve(self, connection: ServerConnection) -> None:
        session = Session(connection, self.metrics)
        self._sessions.add(session)
        self.metrics.connections.inc()
        try:
            await self._visit(session, connection)
        except TurnedAway as turned:
            session.close(turned.code, turned.reason)
        except ConnectionClosed:
            pass
        finally:
            self._sessions.discard(session)
            self.metrics.connections.dec()
            if session.buying:
                await asyncio.wait(session.buying)
            await session.closed()

    async def _visit(self, session: Session, connection: ServerConnection) -> None:
        hello = await session.hello(self._settings.hello_s)
        if hello.protocol != PROTOCOL_VERSION:
            raise TurnedAway(CloseCode.PROTOCOL, f"this server speaks version {PROTOCOL_VERSION}")
        visit = await self._admit(hello)
        room = await self._room(visit)
        session.actor = visit.actor
        self._welcome(session, room, hello.resume)
        self._rooms.enter(room, session, visit.actor)
        try:
            await self._rooms.listen_for(visit.actor)
            if self._draining:
                self._send_away(session)
            async for message in connection:
                await self._take(session, room, message)
        finally:
            await self._rooms.leave(room, session, visit.actor)

    async def _admit(self, hello: Hello) -> Visit:
        try:
            async with asyncio.timeout(self._settings.admit_s):
                return await self._doorman.admit(hello.show_id, hello.ticket)
        except Refusal as refusal:
            unknown = refusal.code == "no_such_show"
            code = CloseCode.NO_SUCH_SHOW if unknown else CloseCode.NOT_ADMITTED
            raise TurnedAway(code, f"{refusal.code}: {refusal.reason}") from None
        except Exception as error:
            logger.warning("nobody can be admitted", exc_info=error)
            raise TurnedAway(CloseCode.UNAVAILABLE, "unavailable: try again") from None

    async def _room(self, visit: Visit) -> LiveRoom:
        try:
            async with asyncio.timeout(self._settings.admit_s):
                return await self._rooms.room(visit.show_id)
        except Refusal as refusal:
            raise TurnedAway(CloseCode.NO_SUCH_SHOW, f"{refusal.code}: {refusal.reason}") from None
        except Exception as error:
            logger.warning("room %s cannot be opened", visit.show_id, exc_info=error)
            raise TurnedAway(CloseCode.UNAVAILABLE, "unavailable: try again") from None

    def _welcome(self, session: Session, room: LiveRoom, resume: Offset | None) -> None:
        missed = room.missed(resume) if resume else None
        welcome = _Welcome(
            protocol=PROTOCOL_VERSION,
            you=_you(session.actor),
            now_ms=self._clock(),
            offset=room.state.offset,
            snapshot=self._snapshot_of(room) if missed is None else None,
        )
        session.write(framed(msgspec.json.encode(welcome)))
        if missed:
            session.write(frame(Events(epoch=room.state.offset.epoch, events=missed)))
        session.write(frame(last_pulse(room)))

    def _snapshot_of(self, room: LiveRoom) -> Raw:
        """Encoded once for all who come while nothing happens."""
        if self._snapshot[0] is not room.state:
            self._snapshot = (room.state, Raw(msgspec.json.encode(room.state)))
        return self._snapshot[1]

    # --- commands ---

    async def _take(self, session: Session, room: LiveRoom, message: str | bytes) -> None:
        try:
            command = parse(message)
            if isinstance(command, Hello):
                raise BadCommand("hello was said already")
        except BadCommand as bad:
            refusal = Refusal("bad_command", bad.reason)
            self._refuse(session, "unknown", refused(bad.command_id, refusal))
            return
        if not isinstance(command, Buy):
            await self._answer(session, room, command)
        elif len(session.buying) >= BUYING_AT_ONCE:
            refusal = Refusal("busy", "Earlier purchases are still being answered.", retry_after_ms=1_000)
            self._refuse(session, "buy", refused(command.id, refusal))
        else:
            buying = asyncio.create_task(self._answer(session, room, command))
            session.buying.add(buying)
            buying.add_done_callback(session.buying.discard)

    async def _answer(self, session: Session, room: LiveRoom, command: AnyCommand) -> None:
        with self.metrics.command_s.time():
            answer = await self._commands.answer(room, session.actor, command)
        if isinstance(answer, Ack):
            self.metrics.commands.labels(type_of(command), "ack").inc()
            session.send(answer)
        else:
            self._refuse(session, type_of(command), answer)

    def _refuse(self, session: Session, kind: str, answer: Refused) -> None:
        self.metrics.commands.labels(kind, answer.code).inc()
        session.refuse(answer, self._clock())


def _you(actor: Actor) -> You:
    return You(
        user_id=actor.user_id,
        name=actor.name,
        roles=tuple(sorted(actor.roles)),
        may=tuple(sorted(may(actor))),
    )


def _typed(response: Response, content_type: str) -> Response:
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = content_type
    return response


def _listen(host: str, port: int, send_buffer_bytes: int) -> socket.socket:
    """A listening socket whose connections inherit a small send buffer, so that slowness is seen early."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen("bad_address", f"{host} is no address of this machine: {error}") from error
    try:
        if port:  # a number of the system's choice must not be one that somebody is about to listen on
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        codes = {errno.EADDRINUSE: "port_in_use", errno.EACCES: "port_not_allowed"}
        reason = f"cannot listen on {host}:{port}: {error.strerror}. Choose another port or free this one."
        raise CannotListen(codes.get(error.errno or 0, "bad_address"), reason) from error
    return listening
