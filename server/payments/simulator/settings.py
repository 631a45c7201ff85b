"""What the simulator is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from server.payments.simulator.faults import FaultPlan

HOUR_S = 3_600.0


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """`port` 0 takes a free one. Without `webhook_url` no webhook is sent. Keys must be test keys.

    `rate_limit_per_s`: 429 past so many API calls a second (Stripe: 25 in test mode, 100 live).
    `webhook_backoff_s`: waits between attempts, the last repeats; `webhook_attempts` in all (three days).
    `webhooks_waiting_max`: past it the oldest waiting webhook is dropped; the event list still has its event.
    """

    secret_key: str
    publishable_key: str
    state_path: Path
    host: str = "127.0.0.1"
    port: int = 0
    webhook_url: str | None = None
    webhook_secret: str = ""
    faults: FaultPlan = field(default_factory=FaultPlan)
    rate_limit_per_s: float | None = None
    webhook_timeout_s: float = 10.0
    webhook_backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, HOUR_S)
    webhook_attempts: int = 78
    webhooks_waiting_max: int = 20_000

    def __post_init__(self) -> None:
        if not self.secret_key.startswith("sk_test_") or not self.publishable_key.startswith("pk_test_"):
            raise ValueError(
                "simulator_needs_test_keys: give the payment simulator sk_test_… and pk_test_… keys only"
            )
        if self.webhook_url and not self.webhook_secret:
            raise ValueError(
                "webhook_secret_missing: webhooks are signed; set the secret that the shop checks them with"
            )
        if self.webhook_url and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError("webhook_url_invalid: give an http:// or https:// address")
