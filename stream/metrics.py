"""What an operator's Prometheus sees of a node. Counted as plain integers where things happen, read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from .ports import BroadcastState

if TYPE_CHECKING:
    from .sessions import Sessions
    from .wire.fanout import Fanout
    from .wire.ingress import Ingress


class Metrics(Collector):
    """A registry of its own, so that several nodes fit into one process (tests, edges)."""

    def __init__(self, sessions: Sessions, ingress: Ingress, fanout: Fanout) -> None:
        self._sessions = sessions
        self._ingress = ingress
        self._fanout = fanout
        registry = self._registry = CollectorRegistry()
        registry.register(self)
        self._join_s = Histogram(
            "hawker_stream_join_seconds",
            "From a viewer's offer to the first frame on its way.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 10),
            registry=registry,
        )
        sessions.totals.on_join = self._join_s.observe

    async def respond(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        yield from self._audience()
        yield from self._feedback()
        yield from self._wire()

    def _audience(self) -> Iterator[Metric]:
        viewers = GaugeMetricFamily("hawker_stream_viewers", "Viewers a broadcast.", labels=["broadcast"])
        live = GaugeMetricFamily("hawker_stream_live", "1 while packets arrive.", labels=["broadcast"])
        octets = CounterMetricFamily(
            "hawker_stream_in_bytes", "Payload from publishers.", labels=["broadcast", "kind"]
        )
        for broadcast in self._sessions.broadcasts.values():
            viewers.add_metric([broadcast.id], broadcast.audience)
            live.add_metric([broadcast.id], broadcast.state is BroadcastState.LIVE)
            octets.add_metric([broadcast.id, "audio"], broadcast.audio.octets)
            octets.add_metric([broadcast.id, "video"], sum(layer.octets for layer in broadcast.layers))
        yield from (viewers, live, octets)
        publishers = sum(session.kind == "whip" for session in self._sessions)
        yield GaugeMetricFamily("hawker_stream_publishers", "Publisher sessions.", value=publishers)
        yield _by_label(
            "hawker_stream_sessions_closed",
            "Sessions ended, by cause.",
            "cause",
            self._sessions.totals.closed,
        )

    def _feedback(self) -> Iterator[Metric]:
        totals = self._sessions.totals
        counts = {"whip": Counter(totals.publisher), "whep": Counter(totals.viewer)}
        for session in self._sessions:
            counts[session.kind].update(session.counts)
        yield _by_label(
            "hawker_stream_publisher_events", "NACKs, PLIs and refusals, publishers.", "event", counts["whip"]
        )
        yield _by_label(
            "hawker_stream_viewer_events", "NACKs, resends and PLIs, viewers.", "event", counts["whep"]
        )

    def _wire(self) -> Iterator[Metric]:
        stats = self._fanout.stats()
        yield CounterMetricFamily(
            "hawker_stream_datagrams_in", "Datagrams read.", value=self._ingress.received
        )
        yield CounterMetricFamily("hawker_stream_packets_out", "Packets sent.", value=stats.packets)
        yield CounterMetricFamily("hawker_stream_out_bytes", "UDP payload sent.", value=stats.octets)
        yield CounterMetricFamily(
            "hawker_stream_fanout_seconds", "Time spent sealing and sending.", value=stats.sum_fanout_s
        )
        yield GaugeMetricFamily(
            "hawker_stream_fanout_queue", "Frames waiting to be sent.", value=stats.queued
        )
        drops = Counter(stats.drops)
        drops.update({f"ingress_{cause}": count for cause, count in self._ingress.drops.items()})
        yield _by_label("hawker_stream_drops", "Packets dropped, by cause.", "cause", drops)


def _by_label(name: str, text: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
