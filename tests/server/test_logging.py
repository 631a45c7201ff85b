"""Logs are one JSON object a line, whoever logs, and hold no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server import logging as logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    logs.configure("web", stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _last(out: io.StringIO) -> dict[str, object]:
    return dict(json.loads(out.getvalue().splitlines()[-1]))


def test_both_loggers_write_one_json_object_a_line(lines: io.StringIO) -> None:
    structlog.get_logger("shop").info("order_paid", order="o1")
    assert (
        _last(lines).items() >= {"event": "order_paid", "order": "o1", "role": "web", "level": "info"}.items()
    )
    logging.getLogger("uvicorn").warning("slow %s", "start")
    assert _last(lines).items() >= {"event": "slow start", "logger": "uvicorn", "role": "web"}.items()


@pytest.mark.parametrize(
    "text",
    [
        "key sk_live_HIDDEN used",
        "whsec_HIDDEN",
        "Authorization: Bearer HIDDEN.HIDDEN",
        "postgresql://u:HIDDEN@db/x",
        "GET /ws?show=1&ticket=HIDDEN HTTP/1.1",
    ],
)
def test_secrets_in_text_are_masked(lines: io.StringIO, text: str) -> None:
    logging.getLogger("any").error(text)
    assert "HIDDEN" not in lines.getvalue()
    assert "***" in lines.getvalue()


def test_values_with_secret_names_are_masked_at_any_depth(lines: io.StringIO) -> None:
    structlog.get_logger("x").info(
        "x", password="HIDDEN", headers={"Cookie": "HIDDEN"}, stream_key=["HIDDEN"]
    )
    assert "HIDDEN" not in lines.getvalue()


def test_a_traceback_is_masked_and_stays_on_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("redis://:HIDDEN@cache refused")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "HIDDEN" not in lines.getvalue()
    assert "ValueError" in str(_last(lines)["exception"])


def test_what_a_record_was_given_beside_its_text_is_written(lines: io.StringIO) -> None:
    logging.getLogger("hawker.checkout").warning("tap_unsure", extra={"order_id": "o1", "api_key": "HIDDEN"})
    assert _last(lines).items() >= {"event": "tap_unsure", "order_id": "o1"}.items()
    assert "HIDDEN" not in lines.getvalue()


def test_a_storm_of_the_same_warning_is_counted_not_written() -> None:
    sparing = logs.Sparing(most=3)

    def passes(what: str, at_s: float, level: int = logging.WARNING) -> logging.LogRecord | None:
        record = logging.LogRecord("shop", level, "", 0, what, None, None)
        record.created = at_s
        return record if sparing.filter(record) else None

    assert sum(passes("tap_unsure", 1.5) is not None for _ in range(50)) == 3
    assert passes("another", 1.6) is not None
    assert all(passes("order_paid", 1.6, logging.INFO) for _ in range(50))
    later = passes("tap_unsure", 2.1)
    assert later is not None
    assert later.__dict__["left_out"] == 47
    quiet = passes("tap_unsure", 3.1)
    assert quiet is not None
    assert "left_out" not in quiet.__dict__
