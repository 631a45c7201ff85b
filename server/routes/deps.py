"""What the routes are made of: every collaborator, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from server.auth.accounts import Accounts
from server.auth.limits import Limits
from server.auth.staff import Staff
from server.checkout.buyer import Buyer
from server.checkout.shopkeeper import Shopkeeper
from server.checkout.tap import Tap
from server.checkout.ways.waitlists import Waitlists
from server.config import Settings
from server.images import Images
from server.media import NodeRegistry
from server.payments.gateway import StripeGateway
from server.routes.network import TrustedProxies
from server.store.payments import PaymentStore
from server.store.pool import Pool
from server.tickets import Tickets


class Rooms(Protocol):
    """Where a show's state is told: its room, and the media nodes. Telling twice is one event."""

    async def show_started(self, show_id: str, by: str) -> None: ...

    async def show_ended(self, show_id: str, by: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    settings: Settings
    pool: Pool
    redis: Redis
    clock: Callable[[], datetime]
    limits: Limits
    accounts: Accounts
    staff: Staff
    tickets: Tickets
    nodes: NodeRegistry
    proxies: TrustedProxies
    images: Images
    tap: Tap
    buyer: Buyer
    shopkeeper: Shopkeeper
    waitlists: Waitlists
    rooms: Rooms
    cards: StripeGateway
    inbox: PaymentStore
    dist: Path  # built pages
    metrics: CollectorRegistry
