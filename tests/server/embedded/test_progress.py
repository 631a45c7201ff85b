"""What people read while a box starts, and later when something had to be started again."""

from __future__ import annotations

import io

from server.embedded.progress import Lines


def test_a_restart_later_is_no_step_of_the_start() -> None:
    out = io.StringIO()
    lines = Lines(1, out)
    with lines.step("Valkey"):
        pass
    lines.close()
    with lines.step("Valkey"):
        pass
    said = out.getvalue().splitlines()
    assert [line.split()[0] for line in said[:2]] == ["[", "["]
    assert said[1].startswith("[ 1/1 ")
    assert not any("/1" in line for line in said[2:])
