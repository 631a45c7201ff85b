"""How one comes to a relay and goes, by the address: WHIP and WHEP, or what a peer has instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import aiohttp

from loadtests.relay.peers import janus, livekit
from loadtests.relay.signalling import OFFERED, Answer, Ice, delete, offer, post, read_answer


class Entrance(Protocol):
    """`publish` gives the relay's answer; `view` what a viewer has to know, with the payload types that it
    will receive. Both give the session's address, too. RefusedError when the relay says no."""

    async def publish(self, http: aiohttp.ClientSession, offer: str) -> tuple[str, str]: ...

    async def view(self, http: aiohttp.ClientSession, ice: Ice, fingerprint: str) -> tuple[Answer, str]: ...

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None: ...


class Whip:
    """WHIP (RFC 9725) for who publishes, WHEP for who views: the same but for the offer."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    async def publish(self, http: aiohttp.ClientSession, offer: str) -> tuple[str, str]:
        return await post(http, self._url, self._token, offer)

    async def view(self, http: aiohttp.ClientSession, ice: Ice, fingerprint: str) -> tuple[Answer, str]:
        offered = offer(ice, fingerprint, "recvonly", {})
        text, session = await post(http, self._url, self._token, offered)
        return replace(read_answer(text), payload_types=OFFERED), session

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        await delete(http, session, self._token)


def entrance(url: str, token: str) -> Entrance:
    if url.startswith(janus.SCHEME):
        return janus.Room(url)
    if url.startswith(livekit.SCHEME):
        return livekit.Room(url)
    return Whip(url, token)
