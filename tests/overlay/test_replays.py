"""Recorded events replayed. The pages replay the same files (web/tests/core/replays.test.ts), so that what a
room is and what a page shows cannot drift apart."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from overlay import room
from overlay.messages import AnyEvent, Snapshot

REPLAYS = sorted((Path(__file__).parent / "replays").glob("*.json"))


class Replay(msgspec.Struct):
    snapshot: Snapshot
    events: tuple[AnyEvent, ...]
    after: Snapshot


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_the_room_after_recorded_events_is_the_recorded_one(path: Path) -> None:
    recorded = msgspec.json.decode(path.read_bytes(), type=Replay)
    assert room.replay(recorded.snapshot, recorded.events) == recorded.after
