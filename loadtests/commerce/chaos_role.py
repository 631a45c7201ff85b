"""A role of the shop as the fault test runs it: `python -m …chaos_role ROLE [--random-keys]`.

The same program with parts of its composition replaced: buyers have seconds, not minutes, to confirm with
their bank; the two looks that prove a refund to have come to nothing are seconds apart, as are the sweeps
for lost webhooks; and for the control run the gateway sends a key of its own with each charge, which is
the mistake that the test must be able to see. Production has no such setting.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Literal
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

    async def charge(
        self,
        *,
        order_id: str,
        amount_minor: int,
        currency: str,
        customer: str,
        payment_method: str,
        idempotency_key: str,
        off_session: bool = False,
        capture: Literal["automatic", "manual"] = "automatic",
        metadata: Mapping[str, str] | None = None,
    ) -> ChargeOutcome:
        return await super().charge(
            order_id=order_id,
            amount_minor=amount_minor,
            currency=currency,
            customer=customer,
            payment_method=payment_method,
            idempotency_key=str(uuid4()),
            off_session=off_session,
            capture=capture,
            metadata=metadata,
        )


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
