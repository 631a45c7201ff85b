"""A room's crowd, summed: how many watch and how they react. Pure: `now_s` comes in.

Every process tells its own share about once a second and sums what it heard of the others. A process that is
not heard of for a while is gone, and its viewers with it. Nothing of this is kept.
"""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import Struct

from overlay.messages import Pulse

SHARE_LASTS_S = 3.5
QUIET_MOST_S = 5.0
"""A pulse at least this often: clients know by it that their connection lives."""


class Share(Struct, frozen=True):
    """What one process says of a room: its viewers now, and their reactions since its last share."""

    process: str
    viewers: int
    reactions: dict[str, int]


_SHARE = msgspec.json.Decoder(Share)


class Crowd:
    def __init__(self, process: str) -> None:
        self._process = process
        self._own: Counter[str] = Counter()
        self._sum: Counter[str] = Counter()
        self._others: dict[str, tuple[int, float]] = {}
        self._said = Pulse(viewers=0, reactions={})
        self._said_s = 0.0

    def react(self, kind: str, count: int) -> None:
        self._own[kind] += count

    def share(self, viewers: int) -> bytes:
        """What to tell the other processes. The reactions move from the share into this process's own sum."""
        share = Share(self._process, viewers, dict(self._own))
        self._sum += self._own
        self._own.clear()
        return msgspec.json.encode(share)

    def hear(self, message: bytes, now_s: float) -> None:
        share = _SHARE.decode(message)
        if share.process != self._process:
            self._others[share.process] = (share.viewers, now_s)
            self._sum.update(share.reactions)

    def pulse(self, viewers: int, now_s: float) -> Pulse | None:
        """What to tell the viewers; None where that is nothing new, not for long. Reactions are told once."""
        self._others = {who: said for who, said in self._others.items() if now_s - said[1] < SHARE_LASTS_S}
        total = viewers + sum(count for count, _ in self._others.values())
        pulse = Pulse(viewers=total, reactions=dict(self._sum))
        self._sum.clear()
        is_new = pulse.reactions or total != self._said.viewers
        if not is_new and now_s - self._said_s < QUIET_MOST_S:
            return None
        self._said, self._said_s = pulse, now_s
        return pulse

    @property
    def viewers(self) -> int:
        """The count that was told last, for those who come in between."""
        return self._said.viewers
