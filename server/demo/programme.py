"""The demo's publisher: draws and sounds the programme, encodes it with PyAV, sends it by WHIP, for ever.

An encoder like any other: it knows a WHIP address and a stream key (HAWKER_PROGRAMME_URL and _TOKEN) and
nothing else of ours. Whatever ends a session is answered by a new one, after a growing pause.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.config import Settings
from server.demo import chime
from server.demo.scene import FPS, HEIGHT, WIDTH, Scene

_BACKOFF_S = (0.5, 1.0, 2.0, 5.0)
_STEADY_S = 20.0
_TITLE = "Atelier Hawker"
_STOP_S = 6.0
_LATE_S = 0.5  # behind by more, frames are left out
_AUDIO_FRAME = chime.RATE // 50  # Opus: 20 ms
_X264 = "scenecut=0:repeat-headers=1:colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m"


@dataclass(frozen=True, slots=True)
class Programme:
    """Where to send what. The token is a secret."""

    url: str
    token: str = field(repr=False)
    title: str = _TITLE
    bit_rate: int = 900_000


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Publish until cancelled; `ready` is called when the first pictures have been sent."""
    programme = Programme(
        os.environ["HAWKER_PROGRAMME_URL"],
        os.environ["HAWKER_PROGRAMME_TOKEN"],
        os.environ.get("HAWKER_PROGRAMME_TITLE") or _TITLE,
    )
    await publish(programme, ready)


async def publish(programme: Programme, ready: Callable[[], None]) -> None:
    """The same, for a programme given. FFmpeg blocks, so it has a thread of its own."""
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(
        asyncio.to_thread(_keep_publishing, programme, stop, lambda: loop.call_soon_threadsafe(ready))
    )
    try:
        await asyncio.shield(work)
    finally:
        stop.set()
        async with asyncio.timeout(_STOP_S):
            await work


def _keep_publishing(programme: Programme, stop: threading.Event, ready: Callable[[], object]) -> None:
    log = structlog.get_logger("hawker.programme")
    studio = _Studio(programme.title)
    failures = 0
    with TemporaryDirectory(prefix="hawker-programme-") as directory:
        certificate = _write_certificate(Path(directory))
        while not stop.is_set():
            began = time.monotonic()
            try:
                _publish_once(programme, studio, certificate, stop, ready)
            except (OSError, av.FFmpegError) as error:
                failures = 0 if time.monotonic() - began > _STEADY_S else failures
                pause_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                log.warning("publish_failed", error=str(error), again_in_s=pause_s)
                stop.wait(pause_s)


def _publish_once(
    programme: Programme,
    studio: _Studio,
    certificate: dict[str, str],
    stop: threading.Event,
    ready: Callable[[], object],
) -> None:
    """One WHIP session, until told to stop or until it breaks."""
    options = {**certificate, "authorization": programme.token, "handshake_timeout": "8000"}
    with av.open(programme.url, "w", format="whip", options=options) as output:
        video = _add_video(output, programme.bit_rate)
        audio = _add_audio(output)
        for number, (picture, sound) in enumerate(studio.frames(stop)):
            if picture:
                output.mux(video.encode(picture))
            for block in sound:
                output.mux(audio.encode(block))
            if number == FPS // 3:
                ready()


def _add_video(output: av.container.OutputContainer, bit_rate: int) -> av.VideoStream:
    stream = output.add_stream(
        "libx264",
        rate=FPS,
        options={
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "x264-params": f"{_X264}:vbv-maxrate={bit_rate // 1000}:vbv-bufsize={bit_rate // 2000}",
        },
    )
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    stream.bit_rate = bit_rate
    stream.codec_context.gop_size = FPS
    stream.codec_context.max_b_frames = 0
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = Fraction(1, FPS)
    return stream


def _add_audio(output: av.container.OutputContainer) -> av.AudioStream:
    options = {"compression_level": "3", "application": "audio", "frame_duration": "20"}
    stream = output.add_stream("libopus", rate=chime.RATE, options=options)
    stream.bit_rate = 48_000
    stream.layout = "stereo"
    return stream


class _Studio:
    """Makes pictures and sound in step with the clock."""

    def __init__(self, title: str) -> None:
        self._scene = Scene(title)
        self._sound = _stereo(chime.samples())

    def frames(self, stop: threading.Event) -> Iterator[tuple[av.VideoFrame | None, list[av.AudioFrame]]]:
        """Thirty times a second a picture and the sound up to it; a late picture is left out."""
        began = time.monotonic()
        blocks = 0
        for number in itertools.count():
            ahead_s = began + number / FPS - time.monotonic()
            if stop.wait(max(0.0, ahead_s)):
                return
            due = (number + 1) * chime.RATE // FPS // _AUDIO_FRAME
            sound = [self._block(place) for place in range(blocks, due)]
            blocks = max(blocks, due)
            yield (self._picture(number) if ahead_s > -_LATE_S else None), sound

    def _picture(self, number: int) -> av.VideoFrame:
        clock = datetime.datetime.now().astimezone().strftime("%H:%M:%S.%f")[:12]
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, content in zip(frame.planes, self._scene.frame(number, clock), strict=True):
            plane.update(content)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        return frame

    def _block(self, place: int) -> av.AudioFrame:
        frame = av.AudioFrame("s16", "stereo", _AUDIO_FRAME)
        begin = place * _AUDIO_FRAME * 4 % len(self._sound)
        frame.planes[0].update(self._sound[begin : begin + _AUDIO_FRAME * 4])
        frame.sample_rate = chime.RATE
        frame.pts, frame.time_base = place * _AUDIO_FRAME, Fraction(1, chime.RATE)
        return frame


def _stereo(mono: bytes) -> bytes:
    both = bytearray(len(mono) * 2)
    for place in (0, 1):
        both[place::4] = mono[place::2]
        both[place + 2 :: 4] = mono[place::2]
    return bytes(both)


def _write_certificate(directory: Path) -> dict[str, str]:
    """A P-256 certificate for DTLS, as options of the muxer: FFmpeg's own curve is refused by OpenSSL 4."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hawker")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    files = {"cert_file": certificate.public_bytes(pem), "key_file": private}
    for option, content in files.items():
        (directory / option).write_bytes(content)
    return {option: str(directory / option) for option in files}
