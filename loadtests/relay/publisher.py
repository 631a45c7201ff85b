"""A steady publisher: synthetic H.264 and Opus to any WHIP server at a given bitrate.

    python -m loadtests.relay.publisher --url https://host/whip/show --token SECRET --bitrate 2500000 --json

Large frames leave at `--pace` bit/s, as an encoder's pacer does. It answers NACKs from the last packets, and
PLIs with a keyframe unless `--ignore-pli` (as OBS does). With `--clip` the picture is one that players show.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import aiohttp
from aiortc import rtp as rtcp

from loadtests.relay.clip import ClipTrack, encode
from loadtests.relay.entrance import entrance
from loadtests.relay.peer import CONNECT_S, Identity, Peer
from loadtests.relay.signalling import AUDIO, VIDEO, address, offer, read_answer, url_of
from loadtests.relay.stream import VIDEO_CLOCK, AudioTrack, Shape, VideoTrack, stamp

KEPT_PACKETS = 2000
CLIP_S = 8.0
AUDIO_EVERY_S = 0.02
REPORT_EVERY_S = 1.0
_NTP_EPOCH_S = 2_208_988_800
_PLI, _FIR, _NACK = 1, 4, 1


@dataclass(slots=True)
class Counts:
    frames: int = 0
    video_packets: int = 0
    audio_packets: int = 0
    repeats: int = 0
    plis: int = 0
    pli_at: list[float] = field(default_factory=list)


class Publisher:
    """`clip` are encoded frames to send instead of synthetic ones; `via` is where media goes, if not where
    the answer says."""

    def __init__(
        self,
        identity: Identity,
        shape: Shape,
        *,
        ignore_pli: bool,
        pace: int,
        clip: list[list[bytes]] | None = None,
        via: tuple[str, int] | None = None,
    ) -> None:
        self.counts = Counts()
        self._via = via
        self._identity, self._shape = identity, shape
        self._ignore_pli, self._pace = ignore_pli, pace
        self._ssrcs = {"video": secrets.randbits(32), "audio": secrets.randbits(32)}
        self._video: VideoTrack | ClipTrack = (
            ClipTrack(clip, shape.fps, self._ssrcs["video"], VIDEO)
            if clip
            else VideoTrack(shape, self._ssrcs["video"], VIDEO)
        )
        self._audio = AudioTrack(self._ssrcs["audio"], AUDIO)
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._octets = 0

    async def run(self, url: str, token: str, seconds: float, live: asyncio.Event | None = None) -> None:
        """Publishes for `seconds`; `live` is set when the first keyframe has left."""
        door = entrance(url, token)
        async with aiohttp.ClientSession() as http:
            self._peer = peer = Peer(self._identity)
            peer.on_rtcp = self._take_rtcp
            try:
                sdp = offer(peer.ice, self._identity.fingerprint, "sendonly", self._ssrcs)
                text, session = await door.publish(http, sdp)
                answer = read_answer(text)
                self._video.payload_type = answer.payload_types["video"]
                self._audio.payload_type = answer.payload_types.get("audio", AUDIO)
                peer.start(replace(answer, candidates=[self._via]) if self._via else answer)
                await asyncio.wait_for(peer.connected, CONNECT_S)
                async with asyncio.TaskGroup() as tracks:
                    ends = time.monotonic() + seconds
                    tracks.create_task(self._send_video(ends, live))
                    if "audio" in answer.payload_types:
                        tracks.create_task(self._send_audio(ends))
                    tracks.create_task(self._send_reports(ends))
                await door.leave(http, session)
            finally:
                peer.close()

    async def _send_video(self, ends: float, live: asyncio.Event | None) -> None:
        due = time.monotonic()
        while due < ends:
            await _until(due)
            due += 1 / self._shape.fps
            await self._send_frame(self._video.frame())
            self.counts.frames += 1
            if live is not None:
                live.set()

    async def _send_frame(self, packets: list[bytes]) -> None:
        started, sent_bits = time.monotonic(), 0
        for packet in packets:
            await _until(started + sent_bits / self._pace)
            sealed = self._peer.send_rtp(stamp(packet, time.time_ns()))
            self._kept[int.from_bytes(packet[2:4], "big")] = sealed
            if len(self._kept) > KEPT_PACKETS:
                self._kept.popitem(last=False)
            sent_bits += len(sealed) * 8
            self._octets += len(packet) - 12
            self.counts.video_packets += 1

    async def _send_audio(self, ends: float) -> None:
        due = time.monotonic()
        while due < ends:
            await _until(due)
            due += AUDIO_EVERY_S
            self._peer.send_rtp(self._audio.packet())
            self.counts.audio_packets += 1

    async def _send_reports(self, ends: float) -> None:
        while time.monotonic() < ends:
            now = time.time()
            video = round(self.counts.frames * VIDEO_CLOCK / self._shape.fps)
            self._report("video", now, video, self.counts.video_packets, self._octets)
            if self.counts.audio_packets:
                self._report("audio", now, self._audio.timestamp, self.counts.audio_packets, 0)
            await asyncio.sleep(min(REPORT_EVERY_S, max(ends - time.monotonic(), 0)))

    def _report(self, kind: str, now: float, timestamp: int, packets: int, octets: int) -> None:
        """A sender report (RFC 3550 6.4.1): what lets players keep sound and picture together."""
        ntp = round((now + _NTP_EPOCH_S) * (1 << 32))
        body = (self._ssrcs[kind], ntp, timestamp & 0xFFFFFFFF, packets, octets & 0xFFFFFFFF)
        self._peer.send_rtcp(struct.pack("!BBHIQIII", 0x80, 200, 6, *body))

    def _take_rtcp(self, packets: list[rtcp.AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, rtcp.RtcpRtpfbPacket) and packet.fmt == _NACK:
                self._repeat(packet.lost)
            elif isinstance(packet, rtcp.RtcpPsfbPacket) and packet.fmt in (_PLI, _FIR):
                self.counts.plis += 1
                self.counts.pli_at.append(time.monotonic())
                if not self._ignore_pli:
                    self._video.request_keyframe()

    def _repeat(self, lost: list[int]) -> None:
        for sealed in filter(None, map(self._kept.get, lost)):
            self._peer.send(sealed)
            self.counts.repeats += 1


async def _until(due: float) -> None:
    """Sleeps to the millisecond: what is less is sent at once."""
    early_s = due - time.monotonic()
    if early_s > 0.001:
        await asyncio.sleep(early_s)


def _most_in_a_second(moments: list[float]) -> int:
    return max((sum(first <= at < first + 1 for at in moments) for first in moments), default=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("where", nargs="?", default="", metavar="URL", help="as --url")
    parser.add_argument("--url", default="", help="where to POST the offer")
    parser.add_argument("--token", default="", help="bearer token")
    parser.add_argument("--bitrate", type=int, default=2_500_000, help="video, bit/s")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--keyframe-packets", type=int, default=50)
    parser.add_argument("--keyframe-every", type=float, default=2.0, help="seconds")
    parser.add_argument("--pace", type=int, default=20_000_000, help="bit/s at which a large frame leaves")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ignore-pli", action="store_true")
    parser.add_argument("--clip", action="store_true", help="real H.264 of a moving test card")
    parser.add_argument("--via", type=address, help="HOST:PORT to send media to, instead of the answer's")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    shape = Shape(options.bitrate, options.fps, options.keyframe_every, options.keyframe_packets)
    publisher = Publisher(
        Identity(),
        shape,
        ignore_pli=options.ignore_pli,
        pace=options.pace,
        clip=encode(shape, CLIP_S) if options.clip else None,
        via=options.via,
    )
    asyncio.run(publisher.run(url_of(parser, options), options.token, options.seconds))
    counts = publisher.counts
    if not options.json:
        print(f"{counts.frames} frames in {options.seconds:.0f} s, {counts.plis} keyframe requests")
    print(
        json.dumps(
            {
                "seconds": options.seconds,
                "frames": counts.frames,
                "video_packets": counts.video_packets,
                "audio_packets": counts.audio_packets,
                "repeats": counts.repeats,
                "plis": counts.plis,
                "plis_in_a_second": _most_in_a_second(counts.pli_at),
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
