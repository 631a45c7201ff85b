"""What an operator's Prometheus sees of a node. Counted as plain integers where things happen, read here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from .ports import BroadcastId, BroadcastState
from .publisher import Publisher
from .viewer import Viewer

if TYPE_CHECKING:
    from .edge.edges import Edges
    from .sessions import Sessions
    from .wire.fanout import Fanout
    from .wire.ingress import Ingress

QUANTILES = (0.5, 0.95)


class Metrics(Collector):
    """A registry of its own, so that several nodes fit into one process (tests, edges)."""

    def __init__(
        self, sessions: Sessions, ingress: Ingress, fanout: Fanout, edges: Edges | None = None
    ) -> None:
        self._sessions = sessions
        self._ingress = ingress
        self._fanout = fanout
        self._edges = edges
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
        yield from self._layers()
        yield from self._uplinks()
        yield from self._paths()
        yield from self._feedback()
        yield from self._pulls()
        yield from self._wire()

    def _pulls(self) -> Iterator[Metric]:
        labels = ["broadcast", "origin"]
        held = GaugeMetricFamily("hawker_stream_pulls", "Broadcasts from another node.", labels=labels)
        events = CounterMetricFamily(
            "hawker_stream_pull_events", "NACKs, PLIs and refusals, pulls.", labels=["broadcast", "event"]
        )
        for broadcast, pull in self._edges.pulls().items() if self._edges is not None else ():
            held.add_metric([broadcast, pull.origin.node], 1)
            for event, count in sorted(pull.counts.items()):
                events.add_metric([broadcast, event], count)
        yield from (held, events)

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

    def _layers(self) -> Iterator[Metric]:
        labels = ["broadcast", "layer"]
        rate = GaugeMetricFamily("hawker_stream_layer_bits_per_second", "On air, by layer.", labels=labels)
        watched = GaugeMetricFamily("hawker_stream_layer_viewers", "Viewers on a layer.", labels=labels)
        paused = GaugeMetricFamily(
            "hawker_stream_viewers_paused",
            "Viewers with sound only for now.",
            labels=labels[:1],
        )
        for broadcast in self._sessions.broadcasts.values():
            on = Counter(viewer.layer.index for viewer in broadcast.viewers)
            for layer in broadcast.layers:
                name = layer.rid or str(layer.index)
                rate.add_metric([broadcast.id, name], layer.bits_per_s)
                watched.add_metric([broadcast.id, name], on[layer.index])
            paused.add_metric([broadcast.id], sum(viewer.is_paused for viewer in broadcast.viewers))
        yield from (rate, watched, paused)

    def _uplinks(self) -> Iterator[Metric]:
        labels = ["broadcast", "stream"]
        received = CounterMetricFamily("hawker_stream_in_packets", "Packets from publishers.", labels=labels)
        lost = GaugeMetricFamily("hawker_stream_in_missing_packets", "Never arrived so far.", labels=labels)
        mended = CounterMetricFamily("hawker_stream_in_recovered", "Arrived on request.", labels=labels)
        jitter = GaugeMetricFamily(
            "hawker_stream_in_jitter_seconds", "Interarrival jitter, RFC 3550.", labels=labels
        )
        for session in self._sessions:
            if isinstance(session, Publisher):
                for name, reception in session.intake.receptions():
                    key = [session.broadcast.id, name]
                    received.add_metric(key, reception.received)
                    lost.add_metric(key, reception.expected - reception.received)
                    mended.add_metric(key, reception.recovered)
                    jitter.add_metric(key, reception.jitter_s)
        yield from (received, lost, mended, jitter)

    def _paths(self) -> Iterator[Metric]:
        """What viewers report: the middle one, and the one at the edge of the slowest twentieth."""
        labels = ["broadcast", "quantile"]
        trips = GaugeMetricFamily("hawker_stream_viewer_rtt_seconds", "Round trip to viewers.", labels=labels)
        loss = GaugeMetricFamily("hawker_stream_viewer_loss_ratio", "Lost, by last report.", labels=labels)
        by_broadcast: dict[BroadcastId, list[Viewer]] = {}
        for session in self._sessions:
            if isinstance(session, Viewer):
                by_broadcast.setdefault(session.broadcast.id, []).append(session)
        for broadcast, viewers in by_broadcast.items():
            known = sorted(v.round_trip_s for v in viewers if v.round_trip_s is not None)
            losses = sorted(viewer.bandwidth.fraction_lost for viewer in viewers)
            for family, values in ((trips, known), (loss, losses)):
                for quantile in QUANTILES if values else ():
                    family.add_metric([broadcast, str(quantile)], values[int(quantile * (len(values) - 1))])
        yield from (trips, loss)

    def _feedback(self) -> Iterator[Metric]:
        labels = ["broadcast", "event"]
        families = {
            "whip": CounterMetricFamily(
                "hawker_stream_publisher_events", "NACKs, PLIs and refusals, publishers.", labels=labels
            ),
            "whep": CounterMetricFamily(
                "hawker_stream_viewer_events", "NACKs, resends and PLIs, viewers.", labels=labels
            ),
        }
        counts: defaultdict[tuple[BroadcastId, str], Counter[str]] = defaultdict(Counter)
        for broadcast, by_kind in self._sessions.totals.events.items():
            for kind, left in by_kind.items():
                counts[broadcast, kind].update(left)
        for session in self._sessions:
            counts[session.broadcast.id, session.kind].update(session.counts)
        for (broadcast, kind), held in sorted(counts.items()):
            for event, count in sorted(held.items()):
                families[kind].add_metric([broadcast, event], count)
        yield from families.values()

    def _wire(self) -> Iterator[Metric]:
        stats = self._fanout.stats()
        yield CounterMetricFamily(
            "hawker_stream_datagrams_in", "Datagrams read.", value=self._ingress.received
        )
        yield CounterMetricFamily("hawker_stream_packets_out", "Packets sent.", value=stats.packets)
        yield CounterMetricFamily(
            "hawker_stream_frames_out", "Frames sent, each to all its viewers.", value=stats.frames
        )
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
