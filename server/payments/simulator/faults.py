"""What goes wrong on purpose, and when: seeded, so that the same calls in order meet the same."""

from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any, Literal

RATES = (
    "reply_lost",
    "rate_limited",
    "server_error",
    "server_error_after",
    "webhook_drop",
    "webhook_duplicate",
    "webhook_reorder",
)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rates are shares of 1. They apply to API calls whose path starts with one of `only` (none: to all).

    `reply_lost`: the request commits, then the connection is cut. `rate_limited`: 429, before anything else.
    `server_error`: a 500 that did nothing; `server_error_after`: a 500 although it committed; both are kept
    under the idempotency key. `latency_s`: a wait before the request runs, drawn from 0 to this.
    `list_lag_s`: lists don't have what was made so shortly before (Stripe's do; its search does not).
    `webhook_drop` (for good), `webhook_duplicate`, `webhook_reorder` (held back up to `reorder_s`).
    `down`: "503" answers so, "refused" cuts every API connection. `once`: the next N calls meet a fault.
    """

    seed: int = 0
    reply_lost: float = 0.0
    rate_limited: float = 0.0
    server_error: float = 0.0
    server_error_after: float = 0.0
    webhook_drop: float = 0.0
    webhook_duplicate: float = 0.0
    webhook_reorder: float = 0.0
    reorder_s: float = 0.5
    latency_s: float = 0.0
    list_lag_s: float = 0.0
    down: Literal["", "503", "refused"] = ""
    only: tuple[str, ...] = ()
    once: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Any) -> "FaultPlan":
        """From JSON. ValueError names what is wrong."""
        if not isinstance(raw, dict):
            raise ValueError("a JSON object is wanted")
        unknown = set(raw) - {known.name for known in fields(cls)}
        if unknown:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        plan = cls(**{**raw, "only": tuple(raw.get("only", ())), "once": dict(raw.get("once", {}))})
        plan._check()
        return plan

    def _check(self) -> None:
        for name in RATES:
            rate = getattr(self, name)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise ValueError(f"{name} must be a number between 0 and 1")
        for name in ("latency_s", "reorder_s", "list_lag_s"):
            span = getattr(self, name)
            if isinstance(span, bool) or not isinstance(span, int | float) or not 0 <= span <= 864_000:
                raise ValueError(f"{name} must be between 0 and 864000 seconds")
        if self.down not in ("", "503", "refused"):
            raise ValueError('down must be "", "503" or "refused"')
        if set(self.once) - set(RATES) or not all(
            type(count) is int and count >= 0 for count in self.once.values()
        ):
            raise ValueError("once takes counts by fault name")

    def as_json(self) -> dict[str, Any]:
        """What `parse` takes."""
        return asdict(self)


class Faults:
    """The plan at work: one random sequence a fault, so that none disturbs another."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._random = {name: Random(f"{plan.seed}:{name}") for name in (*RATES, "latency", "reorder")}
        self._once = dict(plan.once)

    def strikes(self, name: str, path: str = "") -> bool:
        """Whether this call meets the fault."""
        if path and self.plan.only and not path.startswith(self.plan.only):
            return False
        if self._once.get(name, 0) > 0:
            self._once[name] -= 1
            return True
        rate: float = getattr(self.plan, name)
        return rate > 0 and self._random[name].random() < rate

    def latency_s(self, path: str) -> float:
        """How long this call waits before it runs."""
        if not self.plan.latency_s or (self.plan.only and not path.startswith(self.plan.only)):
            return 0.0
        return self._random["latency"].uniform(0, self.plan.latency_s)

    def list_lag_s(self, path: str) -> float:
        """How far behind a list is."""
        hit = not self.plan.only or path.startswith(self.plan.only)
        return self.plan.list_lag_s if hit else 0.0

    def webhook_delays_s(self) -> list[float]:
        """When a new event's webhook goes out: not at all, once, twice, or later than those after it."""
        if self.strikes("webhook_drop"):
            return []
        copies = 2 if self.strikes("webhook_duplicate") else 1
        return [self._delay_s() for _ in range(copies)]

    def _delay_s(self) -> float:
        return (
            self._random["reorder"].uniform(0, self.plan.reorder_s)
            if self.strikes("webhook_reorder")
            else 0.0
        )
