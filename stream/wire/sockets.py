"""The sockets of a node: one number for media over UDP and TCP, and one for its HTTP."""

from __future__ import annotations

import errno
import logging
import socket

log = logging.getLogger(__name__)

_BUFFER_BYTES = 4 << 20
_BACKLOG = 1024
_TRIES = 16
"""How often the system is asked for a number that is free for UDP and for TCP."""


class UdpPortUnavailableError(OSError):
    """The media port can't be had. `code` is stable; the message says what to do."""

    code = "udp_port_unavailable"


class TcpPortUnavailableError(OSError):
    """A TCP port can't be had. `code` is stable; the message says what to do."""

    code = "tcp_port_unavailable"


def open_udp(host: str, port: int) -> socket.socket:
    """A non-blocking bound socket with deep buffers; UdpPortUnavailableError when the port is taken."""
    try:
        sock, address = _socket(host, port, socket.SOCK_DGRAM)
    except OSError as error:
        raise UdpPortUnavailableError(error.errno, f"no UDP socket for {host}: {error}") from error
    try:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise UdpPortUnavailableError(error.errno, f"UDP port {port} on {host}: {_hint(error)}") from error
    return sock


def open_tcp(host: str, port: int) -> socket.socket:
    """A non-blocking socket that listens; TcpPortUnavailableError when the port is taken.

    Listening at once, for two sockets may be bound to one address while neither listens: the later of the
    two would hear of it only when it starts to serve.
    """
    try:
        sock, address = _socket(host, port, socket.SOCK_STREAM)
    except OSError as error:
        raise TcpPortUnavailableError(error.errno, f"no TCP socket for {host}: {error}") from error
    try:
        if port:  # a number of the system's choice must not be one that somebody is about to listen on
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise TcpPortUnavailableError(error.errno, f"TCP port {port} on {host}: {_hint(error)}") from error
    return sock


def open_media(host: str, port: int) -> tuple[socket.socket, socket.socket | None]:
    """UDP and TCP on one number; no TCP where somebody else has it. UdpPortUnavailableError as `open_udp`.

    Where the system chooses the number (`port` 0), it is one that is free for both.
    """
    for _ in range(_TRIES if port == 0 else 1):
        udp = open_udp(host, port)
        try:
            return udp, open_tcp(host, udp.getsockname()[1])
        except TcpPortUnavailableError as error:
            refused = error
            if port == 0:
                udp.close()
    log.warning("no media over TCP: %s", refused)
    return (open_udp(host, 0) if port == 0 else udp), None


def _socket(host: str, port: int, kind: socket.SocketKind) -> tuple[socket.socket, tuple[object, ...]]:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    sock = socket.socket(family, kind, proto)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setblocking(False)
    return sock, address


def _hint(error: OSError) -> object:
    return "another program uses it; choose another port" if error.errno == errno.EADDRINUSE else error
