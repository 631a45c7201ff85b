"""`hawker up`: all roles on one box by the operator's settings; stores not named there are embedded."""

from __future__ import annotations

import asyncio
import os

from server import config
from server.config import Settings
from server.embedded import box
from server.embedded.box import Box
from server.embedded.media_nodes import STOP_SPARE_S, MediaNode, media_nodes, origins
from server.embedded.ports import Port, check_free
from server.embedded.program import Health
from server.embedded.progress import progress
from server.embedded.supervisor import Start

_STEPS = 6  # two stores, schema, three roles; and the media nodes
_ROLES = tuple(role for role in box.SHOP if role != "stream")


async def run() -> None:
    """Start all roles and keep them until told to stop. Raises StartError."""
    given = {name: value for name, value in os.environ.items() if name.startswith(config.PREFIX) and value}
    settings = config.load({**box.STORE_PLACEHOLDERS, **given}, "web")
    nodes = media_nodes(settings)
    check_free(_ports(settings, nodes), "Stop what uses it, or set another port (deploy/settings.md).")
    bars = progress(_STEPS + len(nodes))
    try:
        async with box.opened(settings.data_dir, lambda _directory: given, bars) as home:
            await _start_roles(home, settings, nodes)
            bars.close()
            bars.tell(f"Hawker is up: {settings.public_url}")
            await asyncio.Event().wait()
    finally:
        bars.close()


async def _start_roles(home: Box, settings: Settings, nodes: list[MediaNode]) -> None:
    health = {
        "web": Health(settings.web_host, settings.web_port),
        "overlay": Health(settings.overlay_host, settings.overlay_port),
        "worker": Health(settings.worker_host, settings.worker_port),
    }
    pages = {"HAWKER_STREAM_ORIGINS": origins(settings, nodes)}
    roles = [home.started(home.program(role, health[role], pages)) for role in _ROLES]
    await home.supervisor.start(*roles, *(_started(home, settings, node) for node in nodes))


def _started(home: Box, settings: Settings, node: MediaNode) -> tuple[str, Start]:
    stop_s = settings.stream_drain_s + STOP_SPARE_S
    program = home.program("stream", node.health, node.environ, name=node.name, stop_s=stop_s)
    return home.started(program, node.title)


def _ports(settings: Settings, nodes: list[MediaNode]) -> list[Port]:
    return [
        Port("pages and shop", settings.web_host, settings.web_port),
        Port("live room", settings.overlay_host, settings.overlay_port),
        *(port for node in nodes for port in node.ports),
        Port("background jobs", settings.worker_host, settings.worker_port),
    ]
