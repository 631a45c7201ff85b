"""`hawker verify`: the proof of the books for people and for scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

import msgspec

from server.embedded.errors import StartError
from server.store.ledger import LINES
from server.store.verify import Head, Report, verify


async def run(database_url: str, heads: Sequence[str], *, as_json: bool, out: TextIO) -> int:
    """The exit code: 0 where the books are right. Raises StartError, StoreError."""
    noted: dict[str, list[Head]] = {}
    for text in heads:
        ledger, head = parse_head(text)
        noted.setdefault(ledger, []).append(head)
    report = await verify(database_url, noted)
    if as_json:
        print(msgspec.json.encode(as_plain(report)).decode(), file=out)
    else:
        say(report, out)
    return 0 if report.passed else 1


def parse_head(text: str) -> tuple[str, Head]:
    """`payments:12:3fab…` as `hawker verify` prints it. Raises StartError `bad_head`."""
    ledger, _, rest = text.partition(":")
    number, _, sha256 = rest.partition(":")
    if ledger not in LINES or not number.isdecimal() or len(sha256) != 64:
        raise StartError(
            "bad_head", f"{text!r} is no head of a ledger.", "Give LEDGER:NUMBER:SHA256 as it was printed."
        )
    return ledger, Head(int(number), sha256.lower())


def as_plain(report: Report) -> dict[str, object]:
    """The report for `--json`."""
    return {
        "passed": report.passed,
        "faults": [msgspec.to_builtins(fault) for fault in report.faults],
        "heads": {ledger: f"{head.number}:{head.sha256}" for ledger, head in report.heads.items()},
        "unsealed": report.unsealed,
        "rows": report.rows,
        "seconds": round(report.seconds, 3),
        "rows_per_s": report.rows_per_s,
    }


def say(report: Report, out: TextIO) -> None:
    """The report for people: what fails and the heads on `out`, the verdict on stderr."""
    for fault in report.faults:
        print(f"FAILS  {fault}", file=out)
    for ledger, head in report.heads.items():
        waiting = report.unsealed[ledger]
        print(f"head   {ledger}:{head.number}:{head.sha256}  ({waiting} rows not sealed yet)", file=out)
    verdict = "The books are right" if report.passed else "The books are WRONG"
    print(
        f"{verdict}: {report.rows} rows in {report.seconds:.1f} s ({report.rows_per_s} rows/s).",
        file=sys.stderr,
    )
