"""Structured logs on stderr, one event a line. Secrets are masked here, last, whoever logged them."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|ticket|authorization|cookie|credential|api_?key|stream_?key)",
    re.IGNORECASE,
)
_SECRET_VALUES = (
    (re.compile(r"\b((?:sk|rk)_(?:live|test)_|whsec_)\w+"), r"\1***"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1***@"),
    (
        re.compile(r"([?&](?:\w*_)?(?:token|ticket|key|secret|code|password)=)[^&\s\"']+", re.IGNORECASE),
        r"\1***",
    ),
)
_MASK = "***"
_KINDS_KEPT = 1_000


def masked(text: str) -> str:
    """`text` without Stripe keys, bearer tokens, passwords in URLs or secret query parameters."""
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text


def _mask_value(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _mask_value(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_value(key, item) for item in value]
    if value and isinstance(value, str | bytes) and _SECRET_KEY.search(key):
        return _MASK
    return masked(value) if isinstance(value, str) else value


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: masks values under secret names, and secrets inside any text."""
    for key, value in event.items():
        event[key] = _mask_value(key, value)
    return event


class Sparing(logging.Filter):
    """At most `most` warnings and errors a second of one kind; the next one says how many were left out.

    A store that is down is met by every tap of a crowd: telling of each would cost more than answering them.
    """

    def __init__(self, most: int = 20) -> None:
        super().__init__()
        self._most = most
        self._second: dict[tuple[str, str], int] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        said: Any = record.msg
        kind = (record.name, str(said.get("event")) if isinstance(said, dict) else str(said))
        second = int(record.created)
        if self._second.get(kind) != second:
            if len(self._second) > _KINDS_KEPT:
                self._second.clear()
                self._counts.clear()
            left_out = max(0, self._counts.pop(kind, 0) - self._most)
            self._second[kind] = second
            if left_out:
                record.left_out = left_out
        self._counts[kind] += 1
        return self._counts[kind] <= self._most


def configure(role: str, *, form: str = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (stderr) as `json` or `text`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(role),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(shared, form))
    handler.addFilter(Sparing())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aioice", "aiortc", "httpx", "asyncio", "stripe"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _named(role: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["role"] = role
        return event

    return add


_NOT_EXTRA = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def _extras(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What the standard library's loggers were given as `extra`."""
    record = event.get("_record")
    if record is not None:
        event.update({k: v for k, v in vars(record).items() if k not in _NOT_EXTRA and k[0] != "_"})
    return event


def _formatter(shared: list[structlog.typing.Processor], form: str) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=str)
    if form == "text":
        renderer = structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_extras, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
