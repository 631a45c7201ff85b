"""A role of the shop as the fault test runs it: `python -m …chaos_role ROLE [--random-keys]`.

The same program with parts of its composition replaced: buyers have seconds, not minutes, to confirm with
their bank; the two looks that prove a refund to have come to nothing are seconds apart, as are the sweeps
for lost webhooks; and for the control run the gateway sends a key of its own with each charge, which is
the mistake that the test must be able to see. Production has no such setting.
"""

from __future__ import annotations

import functools
import sys
from typing import Any
from uuid import uuid4

from server import role
from server.app import checkout as composition
from server.app import worker
from server.checkout.wiring import checkout
from server.jobs.checkout import checkout_jobs
from server.payments.gateway import StripeGateway
from server.payments.outcomes import ChargeOutcome

CONFIRM_WITHIN_S = 3.0
PROOF_S, SWEEP_S = 1.0, 2.0


class RandomKeys(StripeGateway):
    """Forgets that it has asked before."""

    async def charge(self, **asked: Any) -> ChargeOutcome:
        return await super().charge(**asked | {"idempotency_key": str(uuid4())})


def main() -> int:
    composition.checkout = functools.partial(  # type: ignore[attr-defined]
        checkout, action_deadline_s=CONFIRM_WITHIN_S
    )
    worker.checkout_jobs = functools.partial(  # type: ignore[attr-defined]
        checkout_jobs, refund_proof_s=PROOF_S, sweep_s=SWEEP_S
    )
    if "--random-keys" in sys.argv:
        composition.StripeGateway = RandomKeys  # type: ignore[attr-defined]
    return role.main(sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
