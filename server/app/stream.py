"""The stream role: one media node, its place in the registry, and its news for the rooms."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import secrets
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from overlay.log import ShowLog, open_redis
from overlay.tasks import end
from server import media
from server.app.picture_news import News
from server.app.signals import hear_ended_shows
from server.config import Settings
from server.media import Hosts, NodeRegistry, OneHostAdmission, RedisAdmission
from server.tickets import MediaTicket, Tickets
from stream.node import IceServer, Node, NodeSettings
from stream.ports import BroadcastId, BroadcastState, Origin, Purpose

logger = logging.getLogger(__name__)

_SEEN_S = 0.2
_KEEP_HOSTS_S = 0.5
_LOOK_AGAIN_S = 0.5


class RegistryOrigins:
    """`stream.ports.Origins` by the registry, with tickets as the web role issues them."""

    def __init__(self, node_id: str, registry: NodeRegistry, tickets: Tickets) -> None:
        self._node_id, self._registry, self._tickets = node_id, registry, tickets
        self._seen: tuple[float, list[media.Node]] = (0.0, [])

    async def origin_of(self, broadcast: BroadcastId) -> Origin | None:
        node = media.origin_of(await self._nodes(), broadcast, but=self._node_id)
        if node is None:
            return None
        is_live = node.state(broadcast) is BroadcastState.LIVE
        return Origin(node.id, node.boot, node.node_url or node.url, is_live)

    async def ticket(self, broadcast: BroadcastId) -> str:
        ticket = MediaTicket(broadcast, Purpose.VIEW, f"edge:{self._node_id}", is_edge=True)
        return await self._tickets.issue(ticket)

    async def _nodes(self) -> list[media.Node]:
        """Read no more often than `_SEEN_S`, however many shows are looked for."""
        at, nodes = self._seen
        if time.monotonic() - at > _SEEN_S:
            nodes = await self._registry.nodes()
            self._seen = (time.monotonic(), nodes)
        return nodes


def node_settings(settings: Settings) -> NodeSettings:
    return NodeSettings(
        http_host=settings.stream_http_host,
        http_port=settings.stream_http_port,
        udp_host=settings.stream_udp_host,
        udp_port=settings.stream_udp_port,
        announced=settings.stream_announced,
        public_base_url=settings.stream_public_url,
        ice_servers=tuple(
            IceServer(url, server.username, server.credential)
            for server in settings.ice_servers
            for url in server.urls
        ),
        max_sessions=settings.limit_viewers,
        labels={"node": settings.node_id},
    )


def _as_registered(settings: Settings) -> media.Node:
    return media.Node(
        id=settings.node_id,
        url=settings.stream_public_url,
        node_url=settings.stream_node_url,
        boot=secrets.token_hex(8),
        region=settings.region,
        capacity=settings.limit_viewers,
    )


def _lift_file_limit() -> None:
    """Each viewer holds a connection for its events; what a shell allows (often 1024) is too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until cancelled, then drain."""
    _lift_file_limit()
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    registry, tickets = NodeRegistry(redis), Tickets(redis)
    news = News(_as_registered(settings), registry, ShowLog(redis))
    origins, hosts = RegistryOrigins(settings.node_id, registry, tickets), Hosts(redis, settings.node_id)
    admission = OneHostAdmission(RedisAdmission(tickets), hosts)
    node = Node(node_settings(settings), admission, news, origins)
    await node.start()
    try:
        news.node_beat({})
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(news.tell())
            hearing = tasks.create_task(hear_ended_shows(redis, lambda show: node.end(BroadcastId(show))))
            keeping = tasks.create_task(_keep_hosts(node, hosts))
            ready()
            try:
                await asyncio.Event().wait()
            finally:
                news.draining()
                await _drain(node, registry, settings)
                await end((telling, hearing, keeping))
    finally:
        await node.stop()
        await redis.aclose()


async def _keep_hosts(node: Node, hosts: Hosts) -> None:
    """While Valkey is away nobody can be let in, so that what was claimed stays true until it is back."""
    while True:
        try:
            for broadcast in await hosts.keep(node.hosts()):
                logger.warning("another node has the host of %s", broadcast)
                node.close_host(broadcast)
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("who publishes here can't be told: %s", error)
        await asyncio.sleep(_KEEP_HOSTS_S)


async def _drain(node: Node, registry: NodeRegistry, settings: Settings) -> None:
    """As long as there is another node to move to, and no longer than the setting allows."""
    draining = asyncio.create_task(node.drain(settings.stream_drain_s))
    try:
        while not draining.done() and await _has_another(registry, settings.node_id):
            await asyncio.wait({draining}, timeout=_LOOK_AGAIN_S)
    finally:  # also when told to stop a second time
        await end((draining,))


async def _has_another(registry: NodeRegistry, node_id: str) -> bool:
    try:
        nodes = await registry.nodes()
    except (RedisError, OSError, TimeoutError):
        return True  # nobody knows; viewers may
    return any(other.id != node_id and not other.is_draining for other in nodes)
