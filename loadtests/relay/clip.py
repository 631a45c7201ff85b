"""A picture that decoders show, encoded once and sent again and again: H.264 at a steady rate.

A host that ignores keyframe requests, as OBS does: the clip has its keyframes where it has them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import count

import av
from av.filter import Graph

from loadtests.relay.stream import PACKET_BYTES, VIDEO_CLOCK, Shape, rtp

WIDTH, HEIGHT = 640, 360
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")
_SPS, _PPS, _SLICE, _IDR = 7, 8, 1, 5


def encode(shape: Shape, seconds: float) -> list[list[bytes]]:
    """The clip's frames as NAL units; a whole number of GOPs."""
    gops = max(1, round(seconds / shape.keyframe_every_s))
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, shape.fps), Fraction(shape.fps)
    codec.bit_rate = shape.bitrate
    rate = shape.bitrate // 1000
    codec.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "x264-params": f"keyint={shape.gop}:min-keyint={shape.gop}:scenecut=0:threads=1:repeat-headers=1:"
        f"vbv-maxrate={rate}:vbv-bufsize={rate // 4}:nal-hrd=cbr",
    }
    packets = [
        bytes(packet)
        for picture in _pictures(shape.fps, gops * shape.gop)
        for packet in codec.encode(picture)
    ]
    return [_units(packet) for packet in packets]


def _pictures(fps: int, frames: int) -> Iterator[av.VideoFrame]:
    """A moving test card under noise: without the noise it would not need the bitrate."""
    graph = Graph()
    source = graph.add("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={fps}")
    noise = graph.add("noise", "alls=24:allf=t")
    form = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    source.link_to(noise)
    noise.link_to(form)
    form.link_to(sink)
    graph.configure()
    for number in range(frames):
        picture = graph.pull()
        assert isinstance(picture, av.VideoFrame)
        picture.pts, picture.pict_type = number, av.video.frame.PictureType.NONE
        yield picture


def _units(access_unit: bytes) -> list[bytes]:
    """Of an Annex B access unit those that RTP carries; fillers and SEI stay behind."""
    units = _START_CODE.split(access_unit)
    return [unit for unit in units if unit and unit[0] & 0x1F in (_SPS, _PPS, _SLICE, _IDR)]


def payloads(units: list[bytes]) -> Iterator[bytes]:
    """RFC 6184: parameter sets together (STAP-A), slices in even fragments (FU-A) or alone."""
    sets = [unit for unit in units if unit[0] & 0x1F in (_SPS, _PPS)]
    if sets:
        yield b"\x78" + b"".join(struct.pack("!H", len(unit)) + unit for unit in sets)
    for unit in units:
        if unit[0] & 0x1F not in (_SPS, _PPS):
            yield from _fragments(unit)


def _fragments(unit: bytes) -> Iterator[bytes]:
    room = PACKET_BYTES - 12 - 2
    if len(unit) <= room:
        yield unit
        return
    indicator, kind, body = unit[0] & 0xE0 | 28, unit[0] & 0x1F, unit[1:]
    parts = -(-len(body) // room)
    size = -(-len(body) // parts)
    for part in range(parts):
        head = bytes((indicator, 0x80 * (part == 0) | 0x40 * (part == parts - 1) | kind))
        yield head + body[part * size : (part + 1) * size]


class ClipTrack:
    """As `stream.VideoTrack`: one `frame()` a frame interval."""

    def __init__(
        self, clip: list[list[bytes]], fps: int, ssrc: int, payload_type: int, seq: int = 1000
    ) -> None:
        self._frames = [list(payloads(units)) for units in clip]
        self._fps, self._ssrc, self.payload_type, self._seq = fps, ssrc, payload_type, seq
        self._numbers = count()

    def request_keyframe(self) -> None:
        """There is none but those in the clip."""

    def frame(self) -> list[bytes]:
        number = next(self._numbers)
        held = self._frames[number % len(self._frames)]
        timestamp = round(number * VIDEO_CLOCK / self._fps) & 0xFFFFFFFF
        return [self._packet(payload, timestamp, at == len(held) - 1) for at, payload in enumerate(held)]

    def _packet(self, payload: bytes, timestamp: int, marker: bool) -> bytes:
        self._seq = (self._seq + 1) & 0xFFFF
        return rtp(self.payload_type, self._seq, timestamp, self._ssrc, payload, marker=marker)
