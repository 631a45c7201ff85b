"""SDP fragments of trickle ICE (RFC 8840 9): what a PATCH says about ICE, and what a restart answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stream.wire.ice import Credentials

from .errors import MalformedError

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839 5.4
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_CANDIDATE = re.compile(r"\S{1,32} \d{1,3} \S+ \d{1,10} \S+ \d{1,5} typ \S+.*")  # RFC 8839 5.1


@dataclass(frozen=True, slots=True)
class Fragment:
    """Empty where the fragment doesn't say."""

    ufrag: str = ""
    password: str = ""
    media_line: str = ""
    mid_line: str = ""
    bundle_line: str = ""

    @property
    def restarts(self) -> bool:
        return bool(self.ufrag and self.password)


def read_fragment(text: str) -> Fragment:
    """MalformedError when it isn't one. Candidates are looked at and let go: ICE-lite learns addresses from
    checks (RFC 8445 2.5), so one that can't be resolved, or of a transport we don't know, harms nobody."""
    found: dict[str, str] = {}
    for line in filter(None, text.replace("\r\n", "\n").split("\n")):
        kind = line[:2]
        if kind not in ("a=", "m=") or not line.isprintable():
            raise _malformed(f"not a line of a fragment: {line[:60]!r}")
        name = "m" if kind == "m=" else line[2:].partition(":")[0]
        if name == "candidate" and not _CANDIDATE.fullmatch(line.partition(":")[2]):
            raise _malformed(f"not a candidate: {line[:60]!r}")
        found.setdefault(name, line)
    return Fragment(
        _matching(found, "ice-ufrag", _UFRAG),
        _matching(found, "ice-pwd", _PASSWORD),
        found.get("m", ""),
        found.get("mid", ""),
        found.get("group", ""),
    )


def _matching(found: dict[str, str], name: str, shape: re.Pattern[str]) -> str:
    if name not in found:
        return ""
    value = found[name].partition(":")[2].strip()
    if not shape.fullmatch(value):
        raise _malformed(f"{name} is not well-formed")
    return value


def _malformed(what: str) -> MalformedError:
    return MalformedError(what, code="malformed_fragment")


def write_fragment(asked: Fragment, local: Credentials, candidates: Iterable[str]) -> str:
    """What answers a restart: our new credentials and where we are, in the m-line that was asked about."""
    lines = [
        "a=ice-lite",
        asked.bundle_line,
        asked.media_line,
        asked.mid_line,
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        *candidates,
        "a=end-of-candidates",
    ]
    return "\r\n".join(filter(None, lines)) + "\r\n"
