"""FFmpeg's WHIP muxer, in a process of its own: it holds Python's lock while it shakes hands.

whip_encoder.py URL FOLDER CODEC GOP      sends a moving picture and sound until its input closes
"""

from __future__ import annotations

import os
import select
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def main(url: str, folder: str, codec: str, gop: str) -> None:
    with av.open(url, "w", format="whip", options=_options(Path(folder))) as out:
        _encode(out, *_streams(out, codec, gop))


def _encode(out: Any, picture: Any, sound: Any) -> None:
    started, samples, number = time.monotonic(), 0, 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        out.mux(picture.encode(_picture(number)))
        while samples * 30 < number * 48000:
            out.mux(sound.encode(_sound(samples)))
            samples += 960
        number += 1
        time.sleep(max(0, started + number / 30 - time.monotonic()))


def _streams(out: Any, codec: str, gop: str) -> tuple[Any, Any]:
    options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": gop, "bf": "0"}
    picture = out.add_stream(
        codec, rate=30, options=options if codec == "libx264" else {"g": gop, "deadline": "realtime"}
    )
    picture.width, picture.height, picture.pix_fmt, picture.bit_rate = 320, 180, "yuv420p", 400_000
    picture.codec_context.time_base = Fraction(1, 30)
    sound = out.add_stream("libopus", rate=48000)
    sound.layout = "stereo"
    sound.bit_rate = 64_000
    return picture, sound


def _picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(320, 180, "yuv420p")
    for place, plane in enumerate(frame.planes):
        row = bytearray([60 if place == 0 else 128]) * plane.line_size
        if place == 0:
            at = number * 4 % 280
            row[at : at + 40] = b"\xeb" * 40
        plane.update(bytes(row) * plane.height)
    frame.pts, frame.time_base = number, Fraction(1, 30)
    return frame


def _sound(at: int) -> av.AudioFrame:
    frame = av.AudioFrame("s16", "stereo", 960)
    frame.planes[0].update(os.urandom(16) * 240)
    frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
    return frame


def _options(folder: Path) -> dict[str, str]:
    """Time enough to shake hands, and P-256: FFmpeg's own default curve is refused by a current OpenSSL."""
    key = ec.generate_private_key(ec.SECP256R1())
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(generate_certificate(key).public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return {"cert_file": str(cert_file), "key_file": str(key_file), "handshake_timeout": "60000"}


if __name__ == "__main__":
    main(*sys.argv[1:])
