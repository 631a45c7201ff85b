"""The payment simulator with the provider's own limit: `python -m loadtests.commerce.drop_simulator`."""

from __future__ import annotations

import functools
import sys

from server import role
from server.embedded import simulator
from server.payments.simulator.settings import SimulatorSettings

PER_S = 100.0  # Stripe's in live mode (docs.stripe.com/rate-limits)


def main() -> int:
    limited = functools.partial(SimulatorSettings, rate_limit_per_s=PER_S)
    simulator.SimulatorSettings = limited  # type: ignore[assignment,attr-defined]
    return role.main("simulator")


if __name__ == "__main__":
    sys.exit(main())
