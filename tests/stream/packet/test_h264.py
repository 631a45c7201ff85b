"""An IDR never goes without its parameter sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.packet import rtp
from stream.packet.codecs import H264
from stream.packet.h264 import ParameterSets
from stream.packet.source import Continuity, Source

SPS, PPS, IDR, SLICE = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41slice"
FU_IDR, FU_REST = b"\x7c\x85idr", b"\x7c\x05idr"


def aggregated(*units):
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


@pytest.mark.parametrize("start", [[SPS, PPS], [aggregated(SPS, PPS)], [aggregated(SPS, PPS, IDR)]])
@pytest.mark.parametrize("idr", [IDR, FU_IDR, aggregated(IDR)])
def test_a_bare_idr_gets_the_sets_once_a_frame(start, idr):
    sets = ParameterSets()
    assert [sets.head(payload, 1) for payload in [*start, idr]] == [b""] * (len(start) + 1)
    assert sets.head(SLICE, 2) == b""
    head = sets.head(idr, 3)
    assert head[0] & 0x1F == 24
    assert head[1:] == aggregated(SPS, PPS)[1:]
    assert [sets.head(payload, 3) for payload in (FU_REST, idr)] == [b"", b""]
    assert sets.head(idr, 4) == head


def test_the_newest_sets_are_kept_and_unknown_ones_are_not_made_up():
    sets = ParameterSets()
    assert sets.head(IDR, 1) == b""
    sets.head(SPS, 2)
    assert sets.head(IDR, 3) == b"", "no PPS yet"
    sets.head(PPS, 3)
    sets.head(b"\x67new", 4)
    sets.head(b"\x68new", 4)
    assert sets.head(IDR, 5)[1:] == aggregated(b"\x67new", b"\x68new")[1:]


def test_numbers_make_room_and_what_was_overtaken_keeps_its_own():
    source = Source(1, H264, Continuity())
    payloads = [SPS, PPS, IDR, SLICE, SLICE, IDR, SLICE]
    stamps = [1, 1, 1, 2, 3, 4, 5]
    out = []
    for place in (0, 1, 2, 3, 5, 4, 6):
        packet = rtp.build(96, True, 10 + place, stamps[place], 1, payloads[place])
        carried = source.take(rtp.parse(packet), 0.0)
        out += [*source.take_heads(), carried]
    base = out[0].seq
    assert [carried.seq - base for carried in out] == [0, 1, 2, 3, 5, 6, 4, 7]
    assert [carried.late for carried in out] == [False] * 6 + [True, False]
    head = out[4]
    assert (head.timestamp, head.starts_keyframe, head.marker) == (4, True, False)
    assert head.packet[12:][1:] == aggregated(SPS, PPS)[1:]


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_no_payload_breaks_it(payloads):
    sets = ParameterSets()
    for at, payload in enumerate(payloads):
        head = sets.head(payload, at)
        assert head == b"" or head[0] & 0x1F == 24
