"""Where a keyframe starts, by the first bytes of its payload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.packet.codecs import AV1, CODECS, VP9


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (b"\x08rest", True),  # B, nothing else
        (b"\x88\x05rest", True),  # picture id of seven bits
        (b"\x48rest", False),  # predicted
        (b"\x00rest", False),  # inside a frame
        (b"\xa8\x05\x00rest", True),  # lowest spatial layer
        (b"\xa8\x05\x02rest", False),  # the second
        (b"\xa8\x81\x05\x02rest", False),  # behind a long picture id
        (b"\xa8\x81\x05\x10rest", True),
        (b"\xa8", False),
        (b"", False),
    ],
)
def test_vp9(payload, starts):
    assert VP9.starts_keyframe(payload) is starts


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (b"\x18\x0a\x0b", True),  # N
        (b"\x98\x0a\x0b", False),  # N, but the rest of an OBU
        (b"\x10\x0a\x0b", True),  # a sequence header as the one element
        (b"\x10\x32\x0b", False),  # a frame
        (b"\x00\x02\x0a\x0b\x01\x32", True),  # with sizes
        (b"\x00\x01\x12\x02\x0a\x0b", True),  # behind a temporal delimiter
        (b"\x20\x01\x12\x0a\x0b", True),  # the last of two elements has no size
        (b"\x00\x01\x12\x02\x32\x0b", False),
        (b"\x00\xff\xff\xff\xff\x0a", False),
        (b"\x00\x00\x0a", False),
        (b"\x08", False),
        (b"", False),
    ],
)
def test_av1(payload, starts):
    assert AV1.starts_keyframe(payload) is starts


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=40))
def test_no_payload_breaks_a_test(name, payload):
    assert CODECS[name].starts_keyframe(payload) in (True, False)
