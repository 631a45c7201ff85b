"""ICE-TCP (RFC 6544): the media port over TCP, for networks that let no UDP through.

    client ══ TCP, framed (RFC 4571) ══▶ a UDP socket of its own on this host ──▶ the node's UDP port

To the rest of the relay such a client is one more UDP address, so sessions, DTLS and the fan-out know nothing
of it; what this costs, only they pay who need it. Towards the client a connection holds `BUFFER_BYTES` at
most: what finds no room is dropped to its frame's end and counted. What ICE, DTLS and RTCP say still goes in;
who lets twice as much lie is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from typing import Any, cast

log = logging.getLogger(__name__)

BUFFER_BYTES = 512 << 10
"""Two seconds of a 2 Mbit/s picture: older than that it is no longer live."""
MAX_CONNECTIONS = 1000
MAX_FRAME_BYTES = 2048
SILENT_S = 40.0
"""The node says nothing more: its session is over, or there never was one."""
_UDP_BUFFER_BYTES = 1 << 20


class IceTcp:
    """Serves `listening`, whose number is the UDP port's."""

    def __init__(self, udp: socket.socket, listening: socket.socket, drops: Counter[str]) -> None:
        self._udp = udp
        self._listening = listening
        self._drops = drops
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=self._listening)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end()

    def _connection(self) -> Connection:
        return Connection(self._udp, self._connections, self._drops)


async def reach(udp: socket.socket, host: str, port: int) -> Connection:
    """The same the other way round: a way from `udp` to somebody who listens, at `address`. OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(udp, set(), Counter()), host, port)
    return connection


class Connection(asyncio.Protocol):
    """One framed stream, and the UDP socket that stands for it."""

    def __init__(self, node: socket.socket, others: set[Connection], drops: Counter[str]) -> None:
        self._node = node
        self._others = others
        self._drops = drops
        self._loop = asyncio.get_running_loop()
        self._stream: asyncio.Transport | None = None
        self._inner: socket.socket | None = None
        self._buffer = bytearray()
        self._cut: dict[bytes, bytes] = {}
        """By SSRC, the timestamp of the frame whose rest is dropped."""
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self._stream = stream = cast(asyncio.Transport, transport)
        if len(self._others) >= MAX_CONNECTIONS:
            self._drops["tcp_refused"] += 1
            stream.abort()
            return
        self._others.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._inner = _towards(self._node)
        self._loop.add_reader(self._inner.fileno(), self._from_node)
        self._timer = self._loop.call_later(SILENT_S, self._look)

    @property
    def address(self) -> tuple[Any, ...]:
        """Where the node's socket finds who is at the stream's other end; OSError once it has ended."""
        if self._inner is None:
            raise ConnectionAbortedError("the stream has ended")
        name: tuple[Any, ...] = self._inner.getsockname()
        return name

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        """Again is nothing."""
        self._others.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        inner, self._inner = self._inner, None
        if inner is not None:
            self._loop.remove_reader(inner.fileno())
            inner.close()
        if self._stream is not None:
            self._stream.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 2:
            size = int.from_bytes(buffer[:2], "big")
            if size > MAX_FRAME_BYTES:
                self._drops["tcp_malformed"] += 1
                self.end()
                return
            if len(buffer) < 2 + size:
                return
            if size and self._inner is not None:
                with contextlib.suppress(OSError):  # full or refused: UDP may lose, so may this
                    self._inner.send(buffer[2 : 2 + size])
            del buffer[: 2 + size]

    def _from_node(self) -> None:
        for _ in range(64):
            if self._inner is None:
                return
            try:
                datagram = self._inner.recv(MAX_FRAME_BYTES)
            except OSError:
                return
            self._heard_at = self._loop.time()
            self._to_client(datagram)

    def _to_client(self, datagram: bytes) -> None:
        if self._stream is None:
            return
        if self._stream.get_write_buffer_size() > 2 * BUFFER_BYTES:
            self._drops["tcp_stuck"] += 1
            self.end()
            return
        if _is_rtp(datagram) and self._is_cut(datagram):
            self._drops["tcp_full"] += 1
            return
        self._stream.write(len(datagram).to_bytes(2, "big") + datagram)

    def _is_cut(self, packet: bytes) -> bool:
        timestamp, ssrc = packet[4:8], packet[8:12]
        if self._cut.get(ssrc) == timestamp:
            return True
        if self._stream is not None and self._stream.get_write_buffer_size() > BUFFER_BYTES:
            self._cut[ssrc] = timestamp
            return True
        self._cut.pop(ssrc, None)
        return False

    def _look(self) -> None:
        if self._loop.time() - self._heard_at >= SILENT_S:
            self.end()
        else:
            self._timer = self._loop.call_later(SILENT_S / 4, self._look)


def _is_rtp(datagram: bytes) -> bool:
    return len(datagram) >= 12 and 128 <= datagram[0] < 192 and not 192 <= datagram[1] <= 223


def _towards(node: socket.socket) -> socket.socket:
    """Connected, so that it hears nobody but the node."""
    name: tuple[Any, ...] = node.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    inner = socket.socket(node.family, socket.SOCK_DGRAM)
    inner.setblocking(False)
    inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
    inner.connect((host, *name[1:]))
    return inner
