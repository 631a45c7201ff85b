"""LiveKit: WHIP for the host, and for viewers, too, since its WHIP subscribes to tracks that are named.

Settings are the best that it has for one core: one UDP port, writes in batches, few words in its log; its
viewers publish nothing and are hidden from each other. https://docs.livekit.io/home/self-hosting/deployment/
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.relay.peers.relay import Relay, free_port, listening, version_of
from loadtests.relay.signalling import Answer, Ice, delete, offer, post, read_answer

NAME = "LiveKit"
SCHEME = "livekit+"
_HOST, _KEY, _SECRET = "host", "load", "only for a server that lives for one measurement"
_TRACKS = ["synthesized-camera", "synthesized-microphone"]
"""What it calls the tracks of a WHIP host."""
_TOKEN_S = 3600


def version(program: Path) -> str:
    return version_of(program).rpartition(" ")[2]


@contextlib.contextmanager
def running(program: Path) -> Iterator[Relay]:
    http, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    settings = {
        "port": http,
        "bind_addresses": ["127.0.0.1"],
        "keys": {_KEY: _SECRET},
        "logging": {"level": "error"},
        "rtc": {
            "udp_port": udp,
            "tcp_port": 0,
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "ips": {"includes": ["127.0.0.0/8"]},
            "batch_io": {"batch_size": 128, "max_flush_interval": "2ms"},
        },
    }

    def command(folder: Path) -> list[str]:
        (folder / "livekit.yaml").write_text(json.dumps(settings))  # which is YAML
        return [str(program), "--config", str(folder / "livekit.yaml")]

    with listening(command, http) as pid:
        url = f"{SCHEME}http://127.0.0.1:{http}/whip/v1"
        yield Relay(pid, url, url)


class Room:
    """One with one host. `url` is of its WHIP, after the scheme."""

    def __init__(self, url: str) -> None:
        self._url = url.removeprefix(SCHEME)
        self._tokens: dict[str, str] = {}

    async def publish(self, http: aiohttp.ClientSession, offer: str) -> tuple[str, str]:
        return await self._join(http, token(_HOST, {"canSubscribe": False}), offer, {})

    async def view(self, http: aiohttp.ClientSession, ice: Ice, fingerprint: str) -> tuple[Answer, str]:
        grants = {"canPublish": False, "canPublishData": False, "hidden": True}
        wanted = {"subscribedParticipantTrackNames": {_HOST: _TRACKS}}
        text, session = await self._join(
            http, token(secrets.token_hex(8), grants), offer(ice, fingerprint, "recvonly", {}), wanted
        )
        return read_answer(text), session

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        await delete(http, session, self._tokens.pop(session))

    async def _join(
        self, http: aiohttp.ClientSession, bearer: str, offered: str, about: dict[str, Any]
    ) -> tuple[str, str]:
        text, session = await post(
            http, self._url, bearer, offered, {"X-LiveKit-ClientInfo": json.dumps(about)}
        )
        self._tokens[session] = bearer
        return text, session


def token(identity: str, grants: dict[str, bool]) -> str:
    """A JWT (RFC 7519) signed with HS256, for the one room."""
    claims = {
        "iss": _KEY,
        "sub": identity,
        "exp": int(time.time()) + _TOKEN_S,
        "video": {"room": "show", "roomJoin": True} | grants,
    }
    signed = ".".join(_segment(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims))
    return f"{signed}.{_segment(hmac.digest(_SECRET.encode(), signed.encode(), 'sha256'))}"


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
