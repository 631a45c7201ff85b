"""ICE of an edge towards its origin (RFC 8445): the origin is ICE-lite, so we control, ask, and it answers.

    candidates ── all are asked, ever more slowly ──▶ the first that answers is selected ── consent ──▶ lost

There is one pair to nominate, so every check does. After that, checks are our consent to be sent media and
proof that the origin is there (RFC 7675); they come more often than consent needs, since an origin that died
should be noticed before viewers notice.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence

from aioice import stun

from stream.wire.ice import Address, Credentials

FIRST_PAUSE_S = 0.05
PAUSE_S = 0.5
LOST_S = 4.0
_PRIORITY = 1862270975  # peer-reflexive, RFC 8445 5.1.2.1
_MAX_PENDING = 32


class Checks:
    """`due` gives the requests to send now; `receive` takes what comes back."""

    def __init__(
        self, local: Credentials, remote: Credentials, candidates: Sequence[Address], now: float
    ) -> None:
        self.selected: Address | None = None
        self._local, self._remote = local, remote
        self._candidates = list(candidates)
        self._tie_breaker = secrets.randbits(64)
        self._pending: dict[bytes, Address] = {}
        self._pause_s = FIRST_PAUSE_S
        self._due_at = now
        self._heard_at = now

    def add(self, candidate: Address, now: float) -> None:
        """One more to ask, at once."""
        self._candidates.append(candidate)
        self._due_at = now

    def due(self, now: float) -> list[tuple[bytes, Address]]:
        if now < self._due_at:
            return []
        self._due_at = now + self._pause_s
        self._pause_s = min(PAUSE_S, self._pause_s * 2)
        asked = [self.selected] if self.selected is not None else self._candidates
        return [(self._request(address), address) for address in asked]

    def receive(self, datagram: bytes, now: float) -> bool:
        """True when it was the answer to a check of ours; `selected` may have changed."""
        try:
            message = stun.parse_message(datagram)
        except (ValueError, KeyError, IndexError, struct.error):
            return False
        address = self._pending.get(message.transaction_id)
        if address is None or message.message_class is not stun.Class.RESPONSE:
            return False
        if not message.check_message_integrity(self._remote.password.encode()):
            return False
        del self._pending[message.transaction_id]
        self.selected = self.selected or address
        self.heard(now)
        return True

    def heard(self, now: float) -> None:
        """Something authenticated came from the origin."""
        self._heard_at = now

    def is_lost(self, now: float) -> bool:
        return now - self._heard_at > LOST_S

    def _request(self, address: Address) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote.ufrag}:{self._local.ufrag}"
        request.attributes["PRIORITY"] = _PRIORITY
        request.attributes["ICE-CONTROLLING"] = self._tie_breaker
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._remote.password.encode())
        self._pending[request.transaction_id] = address
        while len(self._pending) > _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        return bytes(request)
