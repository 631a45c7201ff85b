"""Sends webhooks from the queue on disk: signed, several at once, repeated until answered with 2xx."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from server.payments.simulator.ledger import Delivery, Ledger
from server.payments.simulator.settings import SimulatorSettings

_LOG = logging.getLogger("hawker.simulator")
_AT_ONCE = 16
_IDLE_S = 30.0


def signature(secret: str, body: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `t.body` (docs.stripe.com/webhooks/signatures)."""
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookSender:
    """Runs until cancelled. A crash between sending and noting it sends again: webhooks are at least once."""

    def __init__(
        self, ledger: Ledger, settings: SimulatorSettings, wall: Callable[[], float] = time.time
    ) -> None:
        self._ledger, self._settings, self._wall = ledger, settings, wall
        self._news = asyncio.Event()
        self.sent = 0
        self.failed = 0

    def wake(self) -> None:
        """Something new is due."""
        self._news.set()

    async def run(self) -> None:
        """Send what is due, wait for more."""
        while True:
            batch = self._ledger.due(self._wall(), _AT_ONCE)
            if batch:
                await asyncio.gather(*(self._deliver(delivery) for delivery in batch))
            else:
                await self._wait()

    async def _wait(self) -> None:
        due = self._ledger.next_due()
        pause_s = _IDLE_S if due is None else min(_IDLE_S, max(0.0, due - self._wall()))
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def _deliver(self, delivery: Delivery) -> None:
        status = await self._post(delivery.body)
        if 200 <= status < 300:
            self.sent += 1
            self._ledger.delivered(delivery.id)
            return
        self.failed += 1
        self._try_later(delivery, status)

    def _try_later(self, delivery: Delivery, status: int) -> None:
        if delivery.attempts + 1 >= self._settings.webhook_attempts:
            _LOG.warning("webhook_given_up event=%s status=%d", delivery.event, status)
            self._ledger.delivered(delivery.id)
            return
        waits = self._settings.webhook_backoff_s
        self._ledger.postpone(delivery.id, self._wall() + waits[min(delivery.attempts, len(waits) - 1)])

    async def _post(self, body: str) -> int:
        """The answer's status, or 0 when there was none."""
        try:
            async with asyncio.timeout(self._settings.webhook_timeout_s):
                return await _post(self._settings.webhook_url or "", body, self._headers(body))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return 0

    def _headers(self, body: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (hawker payment simulator)",
            "Stripe-Signature": signature(self._settings.webhook_secret, body, int(self._wall())),
        }


async def _post(url: str, body: str, headers: dict[str, str]) -> int:
    """One POST on a connection of its own. No HTTP library: the simulator stays small beside the shop."""
    target = urlsplit(url)
    secure = target.scheme == "https"
    port = target.port or (443 if secure else 80)
    payload = body.encode()
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {target.netloc}",
        f"Content-Length: {len(payload)}",
        "Connection: close",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection(target.hostname, port, ssl=secure or None)
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
        await writer.drain()
        status_line = await reader.readuntil(b"\r\n")
        return int(status_line.split(b" ", 2)[1])
    except IndexError:
        return 0
    finally:
        writer.close()
