"""When to ask again somebody who did not answer, or not for good.

Most outages are over in seconds, and a buyer looks at the screen meanwhile: so soon and often at first, up to
`SOON_TRIES` within half a minute, and ever more patiently after that. How many ask at once is not decided
here: the provider's own line (payments.rate_limit) bounds that.
"""

from __future__ import annotations

FIRST_S, SOON_S = 0.5, 4.0
SOON_TRIES = 8


def again_after_s(tries: int, longest_s: float) -> float:
    """Seconds until the next try, after so many."""
    if tries < SOON_TRIES:
        return min(FIRST_S * 2.0**tries, SOON_S, longest_s)
    return min(SOON_S * 2.0 ** min(tries - SOON_TRIES + 1, 20), longest_s)
