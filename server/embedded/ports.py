"""Are the ports free? Asked before anything is started, so that the answer names the port and the way out."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from server.embedded.errors import StartError


@dataclass(frozen=True, slots=True)
class Port:
    """An address that a role will take: `udp` for media, which takes TCP on the same port as well."""

    role: str
    host: str
    number: int
    udp: bool = False


def check_free(ports: Iterable[Port], remedy: str) -> None:
    """Raise StartError `port_in_use` (or `address_unavailable`) for the first port that can't be taken."""
    for port in ports:
        _bind(port, socket.SOCK_STREAM, remedy)
        if port.udp:
            _bind(port, socket.SOCK_DGRAM, remedy)


def _bind(port: Port, kind: socket.SocketKind, remedy: str) -> None:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            raise _taken(port, error, remedy) from error


def _taken(port: Port, error: OSError, remedy: str) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            "port_in_use", f"Port {port.number} on {port.host}, for {port.role}, is in use.", remedy
        )
    return StartError(
        "address_unavailable",
        f"{port.role} can't listen on {port.host}:{port.number}: {error.strerror or error}.",
        remedy,
    )
