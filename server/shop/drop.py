"""A drop: units that open at a second for everyone.

Theory: until `opens_ms` nobody can reserve the variant; from then on everybody can, without anybody having to
do anything at that moment: gate and database compare with their own clocks. The states say what the rooms are
told, and follow what is already true (`due`):

    scheduled --opened-->    open          the clock has passed opens_ms
    open      --ran_out-->   sold_out      nothing is left to be taken by the crowd
    sold_out  --came_back--> open          units came back and nobody waits for them
    scheduled --cancelled--> cancelled     by the shop; a drop that has opened is not taken back
"""

from __future__ import annotations

from enum import StrEnum


class DropState(StrEnum):
    SCHEDULED = "scheduled"
    OPEN = "open"
    SOLD_OUT = "sold_out"
    CANCELLED = "cancelled"


class DropEvent(StrEnum):
    OPENED = "opened"
    RAN_OUT = "ran_out"
    CAME_BACK = "came_back"
    CANCELLED = "cancelled"


_S, _E = DropState, DropEvent

STEPS: dict[tuple[DropState, DropEvent], DropState] = {
    (_S.SCHEDULED, _E.OPENED): _S.OPEN,
    (_S.OPEN, _E.RAN_OUT): _S.SOLD_OUT,
    (_S.SOLD_OUT, _E.CAME_BACK): _S.OPEN,
    (_S.SCHEDULED, _E.CANCELLED): _S.CANCELLED,
}


def step(state: DropState, event: DropEvent) -> DropState | None:
    """Where `event` takes a drop, or None: it changes nothing."""
    return STEPS.get((state, event))


def wait_ms(state: DropState, opens_ms: int, now_ms: int) -> int:
    """How long until the variant can be reserved; 0: it can be."""
    return max(0, opens_ms - now_ms) if state is not DropState.CANCELLED else 0


def due(state: DropState, opens_ms: int, now_ms: int, *, available: int, waiting: bool) -> DropState:
    """The state that is true now. `waiting`: there are people on the waitlist."""
    if state is DropState.SCHEDULED and now_ms >= opens_ms:
        state = STEPS[state, DropEvent.OPENED]
    if state is DropState.OPEN and available <= 0:
        return STEPS[state, DropEvent.RAN_OUT]
    if state is DropState.SOLD_OUT and available > 0 and not waiting:
        return STEPS[state, DropEvent.CAME_BACK]
    return state


def line_rules(state: DropState | None) -> bool:
    """Whether units belong to those who wait, if there are any; None: the variant is in no drop.

    A drop is for everyone until it has sold out: a line from before sleeps until then.
    """
    return state in (None, DropState.SOLD_OUT)
