"""The chain of hashes over a ledger's rows.

Theory: a row is sealed as one line of text that holds all of it. The running hash takes the lines in the
order of their ids,

    h(0) = the block before, or a constant for the first;   h(n) = SHA-256(h(n-1) + line n)

so whoever changes, removes or slips in a row changes every hash after it. A block keeps its last running hash
whole. It also keeps each row's id and the first bytes of the hash after it: they prove nothing, they only
find the row that fails. Whoever can rewrite the database can rewrite the whole chain, too; that is what a
head noted elsewhere is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Block:
    """Rows sealed together. `ids` ascend; `marks` has MARK_BYTES for each of them."""

    number: int
    ids: Sequence[int]
    marks: bytes
    previous: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The row that fails: its table and id, what was expected of it, what is."""

    table: str
    id: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.table} {self.id}: expected {self.expected}; is {self.found}"


def beginning(ledger: str) -> bytes:
    """What the first block of a ledger is chained to."""
    return hashlib.sha256(f"hawker:{ledger}".encode()).digest()


def sealed(number: int, previous: bytes, lines: Sequence[str]) -> Block:
    """The next block. Each line begins with its row's id and a `|`."""
    running, marks = previous, bytearray()
    for line in lines:
        running = hashlib.sha256(running + line.encode()).digest()
        marks += running[:MARK_BYTES]
    return Block(number, [id_of(line) for line in lines], bytes(marks), previous, running)


def id_of(line: str) -> int:
    """The id of a line's row."""
    return int(line[: line.index("|")])


def fault(ledger: str, block: Block, number: int, previous: bytes, lines: Sequence[str]) -> Fault | None:
    """The first thing wrong with a block, where block `number` should follow `previous` and cover `lines`."""
    if block.number != number:
        return Fault("ledger_blocks", f"{ledger}:{number}", "the next block of the chain", "missing")
    if block.previous != previous:
        found = f"begins with {block.previous.hex()}"
        return Fault(
            "ledger_blocks",
            f"{ledger}:{number}",
            f"to begin with the hash before it, {previous.hex()}",
            found,
        )
    running = previous
    for n, row_id in enumerate(block.ids):
        line = lines[n] if n < len(lines) else None
        wrong = _row_fault(ledger, row_id, line)
        if wrong or line is None:
            return wrong
        running = hashlib.sha256(running + line.encode()).digest()
        mark = block.marks[n * MARK_BYTES : (n + 1) * MARK_BYTES]
        if mark != running[:MARK_BYTES]:
            return Fault(ledger, str(row_id), f"the row as it was sealed (mark {mark.hex()})", line)
    if len(lines) > len(block.ids):
        return _slipped_in(ledger, lines[len(block.ids)])
    if running != block.sha256:
        found = block.sha256.hex()
        return Fault("ledger_blocks", f"{ledger}:{number}", f"the hash of its rows, {running.hex()}", found)
    return None


def _row_fault(ledger: str, row_id: int, line: str | None) -> Fault | None:
    if line is None or id_of(line) > row_id:
        return Fault(ledger, str(row_id), "the row as it was sealed", "missing")
    return _slipped_in(ledger, line) if id_of(line) < row_id else None


def _slipped_in(ledger: str, line: str) -> Fault:
    return Fault(ledger, str(id_of(line)), "no row (its place was sealed without one)", line)
