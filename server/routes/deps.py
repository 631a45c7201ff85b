"""What the routes are made of: every collaborator, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from server.auth.accounts import Accounts
from server.auth.limits import Limits
from server.auth.staff import Staff
from server.config import Settings
from server.images import Images
from server.media import NodeRegistry
from server.routes.network import TrustedProxies
from server.routes.ports import Buyer, CardGateway, Inbox, Rooms, Shopkeeper, Tap, Waitlists
from server.store.pool import Pool
from server.tickets import Tickets


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
    cards: CardGateway
    inbox: Inbox
    dist: Path  # built pages
    metrics: CollectorRegistry
