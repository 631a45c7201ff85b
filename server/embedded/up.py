"""`hawker up`: all roles on one box by the operator's settings; stores not named there are embedded."""

from __future__ import annotations

import asyncio
import os

from server import config
from server.config import Settings
from server.embedded import box
from server.embedded.box import Box
from server.embedded.ports import Port, check_free
from server.embedded.program import Health
from server.embedded.progress import progress

_STEPS = 7  # two stores, schema, four roles


async def run() -> None:
    """Start all roles and keep them until told to stop. Raises StartError."""
    given = {name: value for name, value in os.environ.items() if name.startswith(config.PREFIX) and value}
    settings = config.load({**box.STORE_PLACEHOLDERS, **given}, "web")
    check_free(_ports(settings), "Stop what uses it, or set another port (deploy/settings.md).")
    bars = progress(_STEPS)
    try:
        async with box.opened(settings.data_dir, lambda _directory: given, bars) as home:
            await _start_roles(home, settings)
            bars.close()
            bars.tell(f"Hawker is up: {settings.public_url}")
            await asyncio.Event().wait()
    finally:
        bars.close()


async def _start_roles(home: Box, settings: Settings) -> None:
    health = {
        "web": Health(settings.web_host, settings.web_port),
        "overlay": Health(settings.overlay_host, settings.overlay_port),
        "stream": Health(settings.stream_http_host, settings.stream_http_port),
        "worker": Health(settings.worker_host, settings.worker_port),
    }
    await home.supervisor.start(*(home.started(home.program(role, health[role])) for role in box.SHOP))


def _ports(settings: Settings) -> list[Port]:
    return [
        Port("pages and shop", settings.web_host, settings.web_port),
        Port("live room", settings.overlay_host, settings.overlay_port),
        Port("media relay", settings.stream_http_host, settings.stream_http_port),
        Port("media", settings.stream_udp_host, settings.stream_udp_port, udp=True),
        Port("background jobs", settings.worker_host, settings.worker_port),
    ]
