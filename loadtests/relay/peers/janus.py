"""Janus: its VideoRoom plugin, spoken to by the JSON API over HTTP; a viewer is the one who answers.

Settings are the best that it has for one core and many viewers of one host: ICE-lite, one event loop for all
peers, few words in its log. https://janus.conf.meetecho.com/docs/rest.html and …/videoroom.html
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.relay.peers.relay import START_S, Relay, free_port, listening
from loadtests.relay.signalling import POST_S, Answer, Ice, RefusedError, answer, read_answer

NAME = "Janus"
SCHEME = "janus+"
_ROOM, _HOST = 1, 1
_SETTINGS = {
    "janus.jcfg": """
general: {{
    debug_level = 2
    session_timeout = 0
    event_loops = 1
}}
media: {{ ipv6 = false }}
nat: {{ ice_lite = true }}
transports: {{ disable = "libjanus_websockets.so,libjanus_pfunix.so,libjanus_mqtt.so,libjanus_nanomsg.so,\
libjanus_rabbitmq.so" }}
""",
    "janus.transport.http.jcfg": """
general: {{
    json = "compact"
    http = true
    port = {port}
    ip = "127.0.0.1"
}}
""",
    "janus.plugin.videoroom.jcfg": """
room-{room}: {{
    publishers = 1
    audiocodec = "opus"
    videocodec = "h264"
    h264_profile = "42e01f"
    bitrate = 20000000
    record = false
}}
""",
}


def version(program: Path) -> str:
    """It says so before it fails for want of an option `--version`."""
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=START_S)
    return done.stdout.partition("\n")[0].rpartition("(")[2].strip(")")


@contextlib.contextmanager
def running(program: Path) -> Iterator[Relay]:
    port = free_port(socket.SOCK_STREAM)

    def command(folder: Path) -> list[str]:
        for name, text in _SETTINGS.items():
            (folder / name).write_text(text.format(port=port, room=_ROOM))
        return [str(program), f"--configs-folder={folder}", "--disable-colors"]

    with listening(command, port) as pid:
        url = f"{SCHEME}http://127.0.0.1:{port}/janus"
        yield Relay(pid, url, url)


class Room:
    """Its one room, with its one host. `url` is of the API, after the scheme."""

    def __init__(self, url: str) -> None:
        self._url = url.removeprefix(SCHEME)

    async def publish(self, http: aiohttp.ClientSession, offer: str) -> tuple[str, str]:
        session, handle = await self._attach(http)
        joining = {"request": "joinandconfigure", "ptype": "publisher", "room": _ROOM, "id": _HOST}
        return await self._negotiate(http, session, handle, joining, {"type": "offer", "sdp": offer}), session

    async def view(self, http: aiohttp.ClientSession, ice: Ice, fingerprint: str) -> tuple[Answer, str]:
        session, handle = await self._attach(http)
        joining = {"request": "join", "ptype": "subscriber", "room": _ROOM, "streams": [{"feed": _HOST}]}
        try:
            offer = await self._negotiate(http, session, handle, joining, None)
            jsep = {"type": "answer", "sdp": answer(offer, ice, fingerprint)}
            await _ask(http, handle, {"janus": "message", "body": {"request": "start"}, "jsep": jsep})
        except BaseException:
            await self.leave(http, session)
            raise
        return replace(read_answer(offer), is_dtls_client=True), session

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        with contextlib.suppress(RefusedError):  # gone already
            await _ask(http, session, {"janus": "destroy"})

    async def _attach(self, http: aiohttp.ClientSession) -> tuple[str, str]:
        """The addresses of a new session and of its handle on the plugin."""
        session = f"{self._url}/{await _id_of_new(http, self._url, {'janus': 'create'})}"
        plugin = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        return session, f"{session}/{await _id_of_new(http, session, plugin)}"

    @staticmethod
    async def _negotiate(
        http: aiohttp.ClientSession,
        session: str,
        handle: str,
        body: dict[str, Any],
        jsep: dict[str, str] | None,
    ) -> str:
        """Their SDP to our request: it comes as an event, among others."""
        message = {"janus": "message", "body": body} | ({"jsep": jsep} if jsep else {})
        await _ask(http, handle, message)
        while True:
            async with http.get(session, timeout=aiohttp.ClientTimeout(total=POST_S)) as response:
                event = await response.json()
            if sdp := sdp_of(event):
                return sdp


def sdp_of(event: dict[str, Any]) -> str:
    """Of an event of a handle, empty when it has none. RefusedError when it says no."""
    said = event.get("plugindata", {}).get("data", {})
    if "error_code" in said:
        raise RefusedError(said["error_code"], said["error"])
    return str(event.get("jsep", {}).get("sdp", ""))


async def _id_of_new(http: aiohttp.ClientSession, url: str, request: dict[str, Any]) -> int:
    return int((await _ask(http, url, request))["data"]["id"])


async def _ask(http: aiohttp.ClientSession, url: str, request: dict[str, Any]) -> dict[str, Any]:
    """`success`, or `ack` where an event will follow."""
    request = request | {"transaction": secrets.token_hex(8)}
    async with http.post(url, json=request, timeout=aiohttp.ClientTimeout(total=POST_S)) as response:
        reply: dict[str, Any] = await response.json()
    if "error" in reply:
        raise RefusedError(reply["error"]["code"], reply["error"]["reason"])
    return reply
