"""Transport-wide congestion control feedback: when each of the publisher's packets arrived.

draft-holmer-rmcat-transport-wide-cc-extensions-01. A browser that gets this estimates its own uplink and
climbs to its full bitrate; without it, it stays where it started.
"""

from __future__ import annotations

from .rtp import ahead

_TICK_S = 0.000_25
_REFERENCE_TICKS = 256  # the reference time counts 64 ms
_MAX_PACKETS = 400
"""Packets a feedback covers at most; the header's count would allow 65,535, a datagram would not."""


class ArrivalLog:
    """Collects arrivals by transport-wide sequence number and packs them into feedback, in order."""

    def __init__(self) -> None:
        self._arrivals: dict[int, float] = {}
        self._newest = -1
        self._next = -1
        self._feedbacks = 0

    def arrived(self, seq: int, now: float) -> None:
        """`seq` is the 16-bit extension value, `now` seconds on a steady clock."""
        if self._newest < 0:
            self._newest = self._next = seq
            self._arrivals[seq] = now
            return
        full = self._newest + ahead(self._newest & 0xFFFF, seq)
        if full < self._next:
            return  # reported as lost already; too late to take back
        self._newest = max(self._newest, full)
        self._arrivals.setdefault(full, now)
        if len(self._arrivals) > 4 * _MAX_PACKETS:
            self._arrivals.clear()
            self._next = self._newest + 1

    def feedback(self) -> bytes | None:
        """The FCI for what arrived since the last call, or None."""
        if not self._arrivals:
            return None
        first = self._next = max(self._next, min(self._arrivals) - _MAX_PACKETS)
        end = min(self._newest + 1, first + _MAX_PACKETS)
        covered = [self._arrivals.pop(seq, None) for seq in range(first, end)]
        self._next = end
        if not any(at is not None for at in covered):
            return None
        return self._pack(first, covered)

    def _pack(self, first: int, covered: list[float | None]) -> bytes:
        start = next(at for at in covered if at is not None)
        reference = int(start / _TICK_S) // _REFERENCE_TICKS
        symbols, deltas = _symbols(covered, reference * _REFERENCE_TICKS)
        head = (
            (first & 0xFFFF).to_bytes(2, "big")
            + len(covered).to_bytes(2, "big")
            + (reference & 0xFFFFFF).to_bytes(3, "big")
            + bytes((self._feedbacks & 0xFF,))
        )
        self._feedbacks += 1
        fci = head + _chunks(symbols) + deltas
        return fci + bytes(-len(fci) % 4)


def _symbols(covered: list[float | None], previous_tick: int) -> tuple[list[int], bytes]:
    """0 not received, 1 a delta of one byte, 2 a delta of two; and the deltas, in ticks of 250 µs."""
    symbols, deltas = [], bytearray()
    for at in covered:
        if at is None:
            symbols.append(0)
            continue
        tick = int(at / _TICK_S)
        delta = max(-0x8000, min(tick - previous_tick, 0x7FFF))
        previous_tick += delta
        if 0 <= delta <= 0xFF:
            symbols.append(1)
            deltas.append(delta)
        else:
            symbols.append(2)
            deltas += delta.to_bytes(2, "big", signed=True)
    return symbols, bytes(deltas)


def _chunks(symbols: list[int]) -> bytes:
    """Runs as run-length chunks where that pays, else vectors of seven two-bit symbols."""
    out, at = bytearray(), 0
    while at < len(symbols):
        run = at + 1
        while run < len(symbols) and symbols[run] == symbols[at] and run - at < 0x1FFF:
            run += 1
        if run - at >= 7 or run == len(symbols):
            out += (symbols[at] << 13 | (run - at)).to_bytes(2, "big")
            at = run
            continue
        vector = symbols[at : at + 7]
        word = 0xC000
        for place, symbol in enumerate(vector):
            word |= symbol << (12 - 2 * place)
        out += word.to_bytes(2, "big")
        at += 7
    return bytes(out)
