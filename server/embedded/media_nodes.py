"""How many media nodes one box runs, and what tells them apart: a name, two ports, an address.

A stream process uses one core, so `hawker up` runs one a core. The first is the one that the settings name;
the others count their ports from HAWKER_STREAM_NODE_PORTS on and are reached at the same host by their port.
Where the public address is a proxy's, its port says nothing about ours: there is then one node, unless the
operator asks for more and lets the proxy serve their ports, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from server.config import Settings
from server.embedded.ports import Port
from server.embedded.program import Health

STOP_SPARE_S = 10.0
"""What ending takes when the time to drain is up."""


@dataclass(frozen=True, slots=True)
class MediaNode:
    """One stream process of a box. `environ` is what it is told beside the box's settings."""

    name: str
    title: str
    url: str
    health: Health
    ports: tuple[Port, Port]
    environ: dict[str, str]


def media_nodes(settings: Settings) -> list[MediaNode]:
    count = settings.stream_nodes or _automatic(settings)
    return [_first(settings), *(_further(settings, number) for number in range(2, count + 1))]


def origins(settings: Settings, nodes: list[MediaNode]) -> str:
    """HAWKER_STREAM_ORIGINS for the pages of a box that runs `nodes`."""
    return ",".join(dict.fromkeys((*settings.stream_origins, *map(_origin, nodes))))


def _automatic(settings: Settings) -> int:
    is_direct = _port_of(settings.stream_public_url) == settings.stream_http_port
    return len(os.sched_getaffinity(0)) if is_direct and hasattr(os, "sched_getaffinity") else 1


def _first(settings: Settings) -> MediaNode:
    ports = settings.stream_http_port, settings.stream_udp_port
    return _node("stream", "media relay", settings.stream_public_url, settings, ports, {})


def _further(settings: Settings, number: int) -> MediaNode:
    http = settings.stream_node_ports + 2 * (number - 2)
    parts = urlsplit(settings.stream_public_url)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    url = parts._replace(netloc=f"{host}:{http}").geturl()
    environ = {
        "HAWKER_NODE_ID": f"{settings.node_id}-{number}",
        "HAWKER_STREAM_HTTP_PORT": str(http),
        "HAWKER_STREAM_UDP_PORT": str(http + 1),
        "HAWKER_STREAM_PUBLIC_URL": url,
        "HAWKER_STREAM_NODE_URL": "",
        # without a port: a further node's media port is the one it binds
        "HAWKER_STREAM_ANNOUNCED": ",".join(ip for ip, _ in settings.stream_announced),
    }
    return _node(f"stream-{number}", f"media relay {number}", url, settings, (http, http + 1), environ)


def _node(
    name: str, title: str, url: str, settings: Settings, ports: tuple[int, int], environ: dict[str, str]
) -> MediaNode:
    http = Port(title, settings.stream_http_host, ports[0])
    media = Port(title.replace("relay", "port"), settings.stream_udp_host, ports[1], udp=True)
    health = Health(settings.stream_http_host, ports[0])
    return MediaNode(name, title, url, health, (http, media), environ)


def _origin(node: MediaNode) -> str:
    parts = urlsplit(node.url)
    return f"{parts.scheme}://{parts.netloc}"


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
