"""How a node ends without a black second for anybody.

    told to end ──▶ viewers are asked to move ──▶ the host is asked ──▶ all gone, or the time is up ──▶ closed
                    a few at a time               when they have gone

Everybody is carried until they have gone: who moves makes the new session before the old one is let go.
Viewers come first, since those who have moved are served by a node that pulls from here; when the host moves
there, too, nothing changes for them. Asked are those who listen to their session's events; the others (an
encoder, a player of other make) stay until the time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from .sessions import Session, Sessions

log = logging.getLogger(__name__)

BATCH = 10
BATCHES_PER_S = 10
"""A hundred handshakes a second are half a core of the node that they go to."""
VIEWERS_SHARE = 0.5
"""Of the time; after that the host is asked, whoever is still here."""
_LOOK_S = 0.05


async def drain(sessions: Sessions, timeout_s: float) -> None:
    """Returns when nobody is here any more, or all who are have been closed."""
    sessions.is_draining = True
    log.info("draining: %d sessions, at most %.0f s", len(sessions), timeout_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s * VIEWERS_SHARE):
                    await _move_viewers(sessions, timeout_s * VIEWERS_SHARE / 2)
            hosts = _ask(sessions, (held for held in sessions if held.kind == "whip"))
            log.info("draining: %d left, %d hosts asked to move", len(sessions), len(hosts))
            while len(sessions):
                await asyncio.sleep(_LOOK_S)
    log.info("drained: %d had not moved", len(sessions))
    sessions.close_all("draining")


async def _move_viewers(sessions: Sessions, within_s: float) -> None:
    viewers = [held for held in sessions if held.kind == "whep"]
    batch = max(BATCH, round(len(viewers) / max(1.0, within_s * BATCHES_PER_S)))
    moving: set[str] = set()
    for at in range(0, len(viewers), batch):
        moving |= _ask(sessions, viewers[at : at + batch])
        await asyncio.sleep(1 / BATCHES_PER_S)
    nodes = {held.session for held in viewers if held.grant.is_edge}
    while any(held.session in moving - nodes for held in sessions):
        await asyncio.sleep(_LOOK_S)


def _ask(sessions: Sessions, asked: Iterable[Session]) -> set[str]:
    """The names of those who listen."""
    return {held.session for held in asked if sessions.events.ask_away(held.broadcast.id, held.session)}
