"""The parameter sets of an H.264 stream, kept so that no keyframe is without them.

Some encoders send SPS and PPS once, at the start. Who joins later could never decode; so an IDR that comes
without them is sent behind a packet of the relay's own that carries them (RFC 6184 5.7.1).
"""

from __future__ import annotations

from collections.abc import Iterator

_IDR, _SPS, _PPS, _STAP_A, _FU_A = 5, 7, 8, 24, 28
_MAX_SETS = 8
MAX_HEAD_BYTES = 1000


class ParameterSets:
    def __init__(self) -> None:
        self._sps = b""
        self._pps: dict[bytes, None] = {}
        self._headed: int | None = None

    def head(self, payload: bytes, timestamp: int) -> bytes:
        """The payload to send before this one: empty, or the sets that its frame lacks."""
        lacks = False
        for unit in _units(payload):
            kind = unit[0] & 0x1F
            if kind == _SPS:
                self._keep_sps(unit)
                self._headed = timestamp
            elif kind == _PPS:
                self._pps[unit] = None
                while len(self._pps) > _MAX_SETS:
                    del self._pps[next(iter(self._pps))]
            elif kind == _IDR and self._headed != timestamp:
                lacks, self._headed = True, timestamp
        return self._aggregate() if lacks else b""

    def _keep_sps(self, unit: bytes) -> None:
        if unit != self._sps:
            self._sps = unit
            self._pps.clear()

    def _aggregate(self) -> bytes:
        if not self._sps or not self._pps:
            return b""
        units = (self._sps, *self._pps)
        reference = max(unit[0] & 0x60 for unit in units)
        body = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
        return bytes((reference | _STAP_A,)) + body if len(body) <= MAX_HEAD_BYTES else b""


def _units(payload: bytes) -> Iterator[bytes]:
    """The NAL units that begin in this payload; of a fragmented one its header alone."""
    kind = payload[0] & 0x1F if payload else 0
    if kind == _STAP_A:
        at = 1
        while at + 2 < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            unit = payload[at + 2 : at + 2 + size]
            if unit and len(unit) == size:
                yield unit
            at += 2 + size
    elif kind == _FU_A:
        if len(payload) > 1 and payload[1] & 0x80 and payload[1] & 0x1F == _IDR:
            yield payload[1:2]
    elif 0 < kind < _STAP_A:
        yield payload
