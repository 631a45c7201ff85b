"""One connection: hello, welcome, then commands in and frames out.

Frames go straight to the transport, framed already, and never wait. The writer is bounded: past STALE_LIMIT
buffered bytes what would soon be stale is left out, past BUFFER_LIMIT the connection is closed with a code
that says: resume.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from overlay.fanout import frame
from overlay.frames import ServerFrame
from overlay.messages import ClientFrame, CloseCode, Hello, Refused
from overlay.metrics import Metrics
from overlay.moderation import REFUSED_RATE, Bucket, take
from overlay.ports import GUEST, Actor

logger = logging.getLogger(__name__)

STALE_LIMIT = 64 * 1024
BUFFER_LIMIT = 512 * 1024
CLOSE_WITHIN_S = 5.0
CHARGEABLE = frozenset({"bad_command", "rate_limited", "not_signed_in", "not_allowed", "muted"})

_DECODER: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


class TurnedAway(Exception):
    """The connection ends with a close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class BadCommand(Exception):
    """A frame that is no command; `command_id` where it could be read."""

    def __init__(self, reason: str, command_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.command_id = reason, command_id


def parse(message: str | bytes) -> ClientFrame:
    """Raises BadCommand, which says what is wrong and where."""
    if isinstance(message, bytes):
        raise BadCommand("Send text frames, not binary ones.")
    try:
        return _DECODER.decode(message)
    except msgspec.ValidationError as error:
        raise BadCommand(str(error), _id_in(message)) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadCommand(f"This is no JSON: {error}") from None


class _Named(Struct):
    id: str


def _id_in(message: str) -> str | None:
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(message, type=_Named).id[:40]
    return None


class Session:
    """A member of a room's fan-out. `actor` is a guest until admission says otherwise."""

    def __init__(self, connection: ServerConnection, metrics: Metrics) -> None:
        self.actor: Actor = GUEST
        self.buying: set[asyncio.Task[None]] = set()
        self._connection = connection
        self._metrics = metrics
        self._refusals: Bucket | None = None
        self._closing: asyncio.Task[None] | None = None

    # --- out ---

    def write(self, frame: bytes, *, stale_soon: bool = False) -> None:
        """Returns at once, whatever the other end does."""
        if self._closing is not None or self._connection.protocol.state is not State.OPEN:
            return
        buffered = self._connection.transport.get_write_buffer_size()
        if buffered > BUFFER_LIMIT:
            self.close(CloseCode.SLOW, "reading too slowly: resume")
        elif stale_soon and buffered > STALE_LIMIT:
            self._metrics.left_out.inc()
        else:
            self._connection.transport.write(frame)

    def send(self, message: ServerFrame) -> None:
        self.write(frame(message))

    def close(self, code: int, reason: str) -> None:
        """Begin to close. Returns at once; the connection is gone within seconds even if nobody reads."""
        if self._closing is None:
            self._metrics.closes.labels(code).inc()
            self._closing = asyncio.create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._connection.close(code, reason[:120])
        except TimeoutError:
            self._connection.transport.abort()

    async def closed(self) -> None:
        if self._closing is not None:
            await asyncio.wait([self._closing])

    # --- in ---

    async def hello(self, within_s: float) -> Hello:
        """The first frame. Raises TurnedAway, and ConnectionClosed where the other end went."""
        try:
            async with asyncio.timeout(within_s):
                message = await self._connection.recv()
            first = parse(message)
        except TimeoutError:
            raise TurnedAway(CloseCode.BAD_HELLO, "no hello in time") from None
        except BadCommand as error:
            raise TurnedAway(CloseCode.BAD_HELLO, error.reason) from None
        if not isinstance(first, Hello):
            raise TurnedAway(CloseCode.BAD_HELLO, "the first frame must be hello")
        return first

    def refuse(self, refused: Refused, now_ms: int) -> None:
        """Say so; a connection that keeps on being refused is closed."""
        self.send(refused)
        if refused.code in CHARGEABLE:
            self._refusals, retry_after_ms = take(REFUSED_RATE, self._refusals, now_ms)
            if retry_after_ms:
                self.close(CloseCode.ABUSE, "too many refused commands")
