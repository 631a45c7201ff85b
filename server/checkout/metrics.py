"""What the checkout counts, in a registry of its own; a role shows it by registering it with its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Counts(Protocol):
    """`answer`: an order's state, or a refusal's code. `outcome`: see payments.outcomes, in snake case."""

    def tap(self, answer: str, seconds: float) -> None: ...

    def gate(self, seconds: float) -> None: ...

    def charge(self, outcome: str) -> None: ...


class Uncounted:
    def tap(self, answer: str, seconds: float) -> None: ...

    def gate(self, seconds: float) -> None: ...

    def charge(self, outcome: str) -> None: ...


class CheckoutMetrics:
    """A prometheus collector: `registry.register(metrics)`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._taps = Counter(
            "hawker_taps", "Taps by what they were told", ["answer"], registry=self._registry
        )
        self._tap_s = Histogram(
            "hawker_tap_seconds",
            "From a tap's arrival to its answer",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._gate_s = Histogram(
            "hawker_gate_seconds",
            "A reservation at the gate, there and back",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._charges = Counter(
            "hawker_charges", "Charges by what the provider answered", ["outcome"], registry=self._registry
        )

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()

    def tap(self, answer: str, seconds: float) -> None:
        self._taps.labels(answer).inc()
        self._tap_s.observe(seconds)

    def gate(self, seconds: float) -> None:
        self._gate_s.observe(seconds)

    def charge(self, outcome: str) -> None:
        self._charges.labels(outcome).inc()
