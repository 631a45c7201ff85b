"""MediaMTX: its defaults, on loopback, without the protocols that nobody speaks here. WHIP and WHEP."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from loadtests.relay.peers.relay import Relay, free_port, listening, version_of

NAME = "MediaMTX"


def version(program: Path) -> str:
    return version_of(program)


@contextlib.contextmanager
def running(program: Path) -> Iterator[Relay]:
    http, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    settings = {
        **dict.fromkeys(("RTSP", "RTMP", "HLS", "SRT", "MOQ"), "no"),
        "LOGLEVEL": "error",
        "WEBRTCADDRESS": f"127.0.0.1:{http}",
        "WEBRTCLOCALUDPADDRESS": f"127.0.0.1:{udp}",
        "WEBRTCIPSFROMINTERFACES": "no",
        "WEBRTCADDITIONALHOSTS": "127.0.0.1",
        "PATHS_SHOW_SOURCE": "publisher",
    }
    environment = {f"MTX_{name}": value for name, value in settings.items()}
    with listening(lambda _: [str(program)], http, environment) as pid:
        url = f"http://127.0.0.1:{http}/show"
        yield Relay(pid, f"{url}/whip", f"{url}/whep")
