"""A TURN server (RFC 8656) for tests: UDP, one user, long-term credentials, channels; no timers."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

from aioice import stun

REALM, NONCE = "hawker.test", b"nonce"
_LIFETIME_S = 600


class TurnServer(asyncio.DatagramProtocol):
    """`relayed` counts datagrams by direction: "out" to peers, "in" to clients."""

    def __init__(self, username: str, password: str) -> None:
        self.relayed: Counter[str] = Counter()
        self.refused = 0
        self.port = 0
        self._key = hashlib.md5(f"{username}:{REALM}:{password}".encode()).digest()
        self._transport: asyncio.DatagramTransport | None = None
        self._relays: dict[tuple[str, int], _Relay] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    async def start(self) -> TurnServer:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def stop(self) -> None:
        for relay in self._relays.values():
            relay.close()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        relay = self._relays.get(addr)
        if data[0] & 0xC0 == 0x40:
            if relay is not None:
                relay.send(int.from_bytes(data[:2], "big"), data[4 : 4 + int.from_bytes(data[2:4], "big")])
            return
        message = stun.parse_message(data)
        if message.message_class is stun.Class.REQUEST:
            task = asyncio.ensure_future(self._answer(message, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: stun.Message, addr: tuple[str, int]) -> None:
        if not request.check_message_integrity(self._key):
            self.refused += 1
            self._reply(request, addr, {"ERROR-CODE": (401, "Unauthorized"), "REALM": REALM, "NONCE": NONCE})
            return
        attributes: dict[str, object] = {}
        if request.message_method is stun.Method.ALLOCATE:
            relay = self._relays[addr] = await _Relay(self, addr).start()
            attributes = {
                "XOR-RELAYED-ADDRESS": relay.address,
                "XOR-MAPPED-ADDRESS": addr,
                "LIFETIME": _LIFETIME_S,
            }
        elif request.message_method is stun.Method.CHANNEL_BIND:
            peer = request.attributes["XOR-PEER-ADDRESS"]
            self._relays[addr].channels[request.attributes["CHANNEL-NUMBER"]] = peer
        elif request.message_method is stun.Method.REFRESH:
            attributes = {"LIFETIME": request.attributes["LIFETIME"]}
        self._reply(request, addr, attributes)

    def _reply(self, request: stun.Message, addr: tuple[str, int], attributes: dict[str, object]) -> None:
        kind = stun.Class.ERROR if "ERROR-CODE" in attributes else stun.Class.RESPONSE
        reply = stun.Message(request.message_method, kind, request.transaction_id, attributes)
        if kind is stun.Class.RESPONSE:
            reply.add_message_integrity(self._key)
        self.to_client(bytes(reply), addr)

    def to_client(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)


class _Relay(asyncio.DatagramProtocol):
    """One allocation: an address of its own, heard by the peers that its channels name."""

    address: tuple[str, int]

    def __init__(self, server: TurnServer, client: tuple[str, int]) -> None:
        self.channels: dict[int, tuple[str, int]] = {}
        self._server, self._client = server, client
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> _Relay:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = self._transport.get_extra_info("sockname")
        return self

    def send(self, channel: int, data: bytes) -> None:
        peer = self.channels.get(channel)
        if peer is not None and self._transport is not None:
            self._server.relayed["out"] += 1
            self._transport.sendto(data, peer)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for channel, peer in self.channels.items():
            if peer == addr:
                self._server.relayed["in"] += 1
                head = channel.to_bytes(2, "big") + len(data).to_bytes(2, "big")
                self._server.to_client(head + data, self._client)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
