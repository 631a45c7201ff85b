"""What an overlay process counts, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge(
            "hawker_overlay_connections", "Connections in a room", registry=self.registry
        )
        self.rooms = Gauge("hawker_overlay_rooms", "Rooms open in this process", registry=self.registry)
        self.store_up = Gauge("hawker_overlay_store_up", "1 while the store is heard", registry=self.registry)
        self.events = Counter(
            "hawker_overlay_events", "Events applied to rooms", ["type"], registry=self.registry
        )
        self.commands = Counter(
            "hawker_overlay_commands", "Commands answered", ["type", "outcome"], registry=self.registry
        )
        self.closes = Counter(
            "hawker_overlay_closes", "Connections closed by the server", ["code"], registry=self.registry
        )
        self.left_out = Counter(
            "hawker_overlay_frames_left_out",
            "Stale frames not sent to slow connections",
            registry=self.registry,
        )
        self.command_s = Histogram(
            "hawker_overlay_command_seconds",
            "From a command's arrival to its answer",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self.fanout_s = Histogram(
            "hawker_overlay_fanout_seconds",
            "Writing one frame to all of a room's connections",
            registry=self.registry,
            buckets=(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
