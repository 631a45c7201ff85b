"""The fan-out on all its paths: same bytes as pylibsrtp, no nonce twice, bounded under pressure."""

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from stream.wire import fanout as subject
from stream.wire._fanout_plain import Sender as PlainSender
from stream.wire._srtp import WINDOW, outbound_session
from stream.wire._turns import Step
from stream.wire.fanout import Fanout, Lane, Numbering, SrtpKeys, even_sizes

PROFILES = {
    "AEAD_AES_128_GCM": (16, 12, Policy.SRTP_PROFILE_AEAD_AES_128_GCM),
    "AEAD_AES_256_GCM": (32, 12, Policy.SRTP_PROFILE_AEAD_AES_256_GCM),
    "AES128_CM_SHA1_80": (16, 14, Policy.SRTP_PROFILE_AES128_CM_SHA1_80),
}
PATHS = ["plain", "native", "native_without_gso"]
SO_NO_CHECK = 11  # asm-generic/socket.h: no UDP checksum, with which the kernel refuses GSO
NUMBERING = Numbering(ssrc=0xABCD, payload_type=101, seq_delta=40, timestamp_delta=90_000)


def new_keys(profile: str = "AEAD_AES_128_GCM") -> SrtpKeys:
    key, salt, _ = PROFILES[profile]
    return SrtpKeys(profile, os.urandom(key), os.urandom(salt))


def inbound(keys: SrtpKeys) -> Session:
    policy = Policy(
        key=keys.key + keys.salt, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=PROFILES[keys.profile][2]
    )
    return Session(policy)


def packet(
    seq: int, payload: bytes = b"payload", *, first: int = 0x80, marker: int = 0, head: bytes = b""
) -> bytes:
    return struct.pack("!BBHII", first, 96 | marker << 7, seq & 0xFFFF, 3000, 1) + head + payload


def udp(family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((host, 0))
    sock.settimeout(30)
    return sock


class Wire:
    """A fan-out on one of its paths, and a receiver at the other end."""

    def __init__(self, path: str, sock: socket.socket | None = None, **options: Any) -> None:
        self.sock = sock or udp()
        self.sock.setblocking(False)
        if path == "native_without_gso":
            self.sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        self.fanout = Fanout(self.sock, native=path != "plain", **options)
        self.receiver = udp()

    def lane(self, keys: SrtpKeys | None = None, *numberings: Numbering) -> Lane:
        lane = self.fanout.open(keys or new_keys(), self.receiver.getsockname())
        for numbering in numberings or (NUMBERING,):
            self.fanout.number(lane, 1, numbering)
        return lane

    def receive(self, count: int) -> list[bytes]:
        return [self.receiver.recv(4096) for _ in range(count)]

    def settled(self) -> subject.FanoutStats:
        """The counts, once all that was asked for is done."""
        until(lambda: self._reached() and not self.fanout.stats().queued)
        return self.fanout.stats()

    def _reached(self) -> bool:
        """The sender thread is between two steps."""
        done = threading.Event()
        self.fanout._queue.put(Step((), done.set))
        return done.wait(10)

    def end_pauses(self) -> None:
        """For the sender thread to run."""
        paused = self.fanout._turns._paused
        paused[:] = [(0.0, order, step) for _, order, step in paused]

    def dropped(self) -> dict[str, int]:
        return {cause: n for cause, n in self.settled().drops.items() if n}

    def close(self) -> None:
        self.fanout.stop()
        self.sock.close()
        self.receiver.close()


@pytest.fixture(params=PATHS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    made = Wire(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module", params=PATHS)
def shared_wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    made = Wire(request.param)
    yield made
    made.close()


# The bytes


def rewritten(source: bytes, use: Numbering, size: int) -> bytes:
    """What a viewer must get, said once more and independently."""
    bits, kind, seq, timestamp = struct.unpack("!BBHI", source[:8])
    body = source[12:]
    if size > len(source):
        already = body[-1] if bits & 0x20 else 0
        body += bytes(size - len(source) - 1) + bytes([size - len(source) + already])
        bits |= 0x20
    return (
        struct.pack(
            "!BBHII",
            bits,
            kind & 0x80 | use.payload_type,
            (seq + use.seq_delta) % 2**16,
            (timestamp + use.timestamp_delta) % 2**32,
            use.ssrc,
        )
        + body
    )


numberings = st.builds(
    Numbering,
    ssrc=st.integers(0, 2**32 - 1),
    payload_type=st.integers(0, 127),
    seq_delta=st.integers(-(2**16), 2**16),
    timestamp_delta=st.integers(-(2**32), 2**32),
)


@st.composite
def frames(draw: st.DrawFn) -> list[bytes]:
    start, base = draw(st.integers(0, 2**16 - 1)), draw(st.integers(0, 1000))
    made = []
    for i in range(draw(st.integers(1, 20))):
        sources, words = draw(st.integers(0, 3)), draw(st.integers(-1, 3))
        head = bytes(4 * sources) + (
            struct.pack("!HH", 0xBEDE, words) + b"\x10" * 4 * words if words >= 0 else b""
        )
        first = 0x80 | sources | (0x10 if words >= 0 else 0)
        payload = draw(st.randoms(use_true_random=False)).randbytes(base + draw(st.integers(0, 90)))
        made.append(packet(start + i, payload, first=first, marker=draw(st.integers(0, 1)), head=head))
    return made


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(profile=st.sampled_from(sorted(PROFILES)), frame=frames(), use=numberings)
def test_bytes_are_pylibsrtps_own(
    shared_wire: Wire, profile: str, frame: list[bytes], use: Numbering
) -> None:
    keys = new_keys(profile)
    lane = shared_wire.lane(keys, use)
    shared_wire.fanout.send(1, frame, [lane])
    reference = outbound_session(keys)
    sizes = even_sizes(frame)
    expected = [reference.protect(rewritten(p, use, size)) for p, size in zip(frame, sizes, strict=True)]
    assert shared_wire.receive(len(frame)) == expected
    shared_wire.fanout.close(lane)


@pytest.mark.parametrize("wide", [False, True])
def test_vp8_picture_ids_are_renumbered(wire: Wire, wide: bool) -> None:
    picture_id = b"\xff\xfe" if wide else b"\x7e"  # both two short of their wrap
    payload = b"\x90\xc0" + picture_id + b"\xff" + b"frame"
    keys = new_keys()
    lane = wire.lane(keys, Numbering(7, 100, 0, 0, picture_id_delta=3, tl0_delta=2))
    wire.fanout.send(1, [packet(5, payload)], [lane], codec="video/VP8")
    opened = inbound(keys).unprotect(wire.receive(1)[0])
    assert opened[12:] == b"\x90\xc0" + (b"\x80\x01" if wide else b"\x01") + b"\x01" + b"frame"


def test_other_codecs_keep_their_payload(wire: Wire) -> None:
    keys = new_keys()
    lane = wire.lane(keys, Numbering(7, 100, 0, 0, picture_id_delta=3, tl0_delta=2))
    wire.fanout.send(1, [packet(5, b"\x90\xc0\x11\x22frame")], [lane], codec="H264")
    assert inbound(keys).unprotect(wire.receive(1)[0])[12:] == b"\x90\xc0\x11\x22frame"


def test_rtcp_is_sealed(wire: Wire) -> None:
    keys = new_keys()
    report = struct.pack("!BBHI", 0x80, 201, 1, 77)
    wire.fanout.send_rtcp(wire.lane(keys), report)
    assert inbound(keys).unprotect_rtcp(wire.receive(1)[0]) == report


def test_a_keyframe_comes_whole_and_in_order(wire: Wire) -> None:
    keys = new_keys()
    lane = wire.lane(keys)
    wire.fanout.send(1, [packet(i, bytes(1000 + i % 3)) for i in range(70)], [lane])
    opener = inbound(keys)
    seqs = [struct.unpack("!H", opener.unprotect(sealed)[2:4])[0] for sealed in wire.receive(70)]
    assert seqs == list(range(40, 110))


def test_a_keyframe_is_paced(wire: Wire) -> None:
    wire.fanout.send(1, [packet(i, bytes(1000)) for i in range(3 * subject.BURST)], [wire.lane()])
    assert wire.settled().last_fanout_s >= 2 * subject.PACE_S


def test_others_go_on_while_a_keyframe_pauses(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PACE_S", 600.0)
    other = udp()
    slow, quick = wire.lane(), wire.fanout.open(new_keys(), other.getsockname())
    wire.fanout.number(quick, 0, NUMBERING)
    wire.fanout.send(1, [packet(i, bytes(1000)) for i in range(3 * subject.BURST)], [slow])
    wire.fanout.send(0, [packet(1)], [quick])
    wire.fanout.number(slow, 1, Numbering(9, 100, 0, 0))  # comes after the whole keyframe
    assert other.recv(2000)
    assert wire.fanout.stats().queued > 0
    monkeypatch.setattr(subject, "PACE_S", 0.0)
    wire.fanout._queue.put(Step((), wire.end_pauses))
    assert {sealed[8:12] for sealed in wire.receive(3 * subject.BURST)} == {b"\0\0\xab\xcd"}
    other.close()


def test_frames_that_waited_together_leave_together() -> None:
    gate = Gate()
    wire = Wire("plain", gate)
    lane, bursts, send = wire.lane(), [], wire.fanout._sender.send
    wire.fanout._sender.send = lambda *args: bursts.append(len(args[1])) or send(*args)
    wire.fanout.number(lane, 0, Numbering(0x77, 111, 0, 0))
    wire.fanout.send(1, [packet(0)], [lane])
    until(lambda: len(bursts) == 1)
    for i in range(5):
        wire.fanout.send(1, [packet(10 * i + k, bytes(900 - k)) for k in range(1, 9)], (lane,))
        wire.fanout.send(0, [packet(i, bytes(80))], (lane,))
    wire.fanout.resend(lane, 1, [packet(1, bytes(899))], NUMBERING)
    gate.open.set()
    wire.receive(47)
    assert bursts == [1, 27, 18, 1]
    assert wire.settled().frames == 12
    assert wire.dropped() == {}
    wire.close()


# Padding


@given(st.lists(st.integers(12, 1300), max_size=30))
def test_even_sizes_only_pad_and_only_a_little(lengths: list[int]) -> None:
    sizes = even_sizes([b"\x80" + bytes(length - 1) for length in lengths])
    assert all(0 <= size - length <= subject.MAX_PADDING for size, length in zip(sizes, lengths, strict=True))
    assert sizes[-1:] == lengths[-1:]
    assert all(size == max(lengths) for size in sizes[:-1] if size > max(lengths) - subject.MAX_PADDING)


def test_padding_that_is_there_grows(wire: Wire) -> None:
    padded = packet(1, b"data" + b"\0\0\3", first=0xA0)
    keys = new_keys()
    wire.fanout.send(1, [padded, packet(2, bytes(20))], [wire.lane(keys)])
    opened = inbound(keys).unprotect(wire.receive(1)[0])
    assert (len(opened), opened[-1]) == (32, 16)  # 4 bytes of data are left of 20


def test_a_full_padding_is_left_alone() -> None:
    full = packet(1, bytes(254) + b"\xff", first=0xA0)
    assert even_sizes([full, packet(2, bytes(260))])[0] == len(full)


# Nonces


def test_a_resend_is_the_same_bytes_padding_included(wire: Wire) -> None:
    lane = wire.lane()
    frame = [packet(1, bytes(100)), packet(2, bytes(110)), packet(3, bytes(90))]
    wire.fanout.send(1, frame, [lane])
    first = wire.receive(3)
    wire.fanout.resend(lane, 1, [frame[0]], NUMBERING)
    wire.fanout.resend(lane, 1, [frame[2]], NUMBERING)
    assert wire.receive(2) == [first[0], first[2]]


@pytest.mark.parametrize(
    ("changed", "use"),
    [
        (packet(1, b"other"), NUMBERING),
        (packet(1), Numbering(NUMBERING.ssrc, 102, NUMBERING.seq_delta, NUMBERING.timestamp_delta)),
        (packet(1), Numbering(NUMBERING.ssrc, 101, NUMBERING.seq_delta, NUMBERING.timestamp_delta + 1)),
        (packet(2), Numbering(NUMBERING.ssrc, 101, NUMBERING.seq_delta - 1, NUMBERING.timestamp_delta)),
    ],
    ids=["payload", "payload_type", "timestamp", "another_packet"],
)
def test_another_plaintext_under_a_used_number_is_refused(wire: Wire, changed: bytes, use: Numbering) -> None:
    lane = wire.lane()
    wire.fanout.send(1, [packet(1)], [lane])
    wire.fanout.resend(lane, 1, [changed], use)
    assert wire.dropped() == {"reused": 1}
    assert wire.settled().packets == 1


def test_the_same_bytes_read_as_another_codec_are_another_plaintext(wire: Wire) -> None:
    """VP8's picture ids are renumbered and other codecs' first bytes are not."""
    vp8 = packet(1, b"\x90\xc0\x91\x22\x33frame")
    numbering = Numbering(7, 100, 0, 0, picture_id_delta=3, tl0_delta=2)
    lane = wire.lane(new_keys(), numbering)
    wire.fanout.send(1, [vp8], [lane], codec="VP8")
    wire.fanout.resend(lane, 1, [vp8], numbering, codec="H264")
    wire.fanout.resend(lane, 1, [vp8], numbering, codec="VP8")
    assert wire.dropped() == {"reused": 1}
    assert wire.settled().packets == 2


def test_send_is_held_to_the_same(wire: Wire) -> None:
    lane = wire.lane()
    wire.fanout.send(1, [packet(1)], [lane])
    wire.fanout.send(1, [packet(1, b"other")], [lane])
    assert wire.dropped() == {"reused": 1}


def test_what_left_the_window_is_stale(wire: Wire) -> None:
    lane = wire.lane()
    for seq in range(WINDOW + 1):
        wire.fanout.send(1, [packet(seq)], [lane])
        wire.settled()
    wire.fanout.resend(lane, 1, [packet(0)], NUMBERING)
    wire.fanout.resend(lane, 1, [packet(1)], NUMBERING)
    assert wire.dropped() == {"stale": 1}


def test_nothing_comes_before_the_first_roll_over(wire: Wire) -> None:
    lane = wire.lane(None, Numbering(7, 100, 0, 0))
    wire.fanout.send(1, [packet(5)], [lane])
    wire.fanout.send(1, [packet(0xFFF0)], [lane])
    assert wire.dropped() == {"stale": 1}


def test_rtx_has_numbers_of_its_own(wire: Wire) -> None:
    lane = wire.lane()
    wire.fanout.send(1, [packet(1)], [lane])
    for seq in range(3):
        wire.fanout.resend(lane, 1, [packet(seq, b"\0\1payload")], Numbering(0x5555, 97, 0, 0))
    assert wire.dropped() == {}
    assert len(set(wire.receive(4))) == 4


def test_a_key_opens_one_lane_once(wire: Wire) -> None:
    keys = new_keys()
    lane = wire.lane(keys)
    with pytest.raises(ValueError, match="srtp_key_used"):
        wire.lane(keys)
    wire.fanout.close(lane)
    wire.settled()
    with pytest.raises(ValueError, match="srtp_key_used"):
        wire.lane(keys)


def test_keys_are_remembered_within_bounds(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "KEYS_KEPT", 3)
    for _ in range(10):
        wire.fanout.close(wire.lane())
    assert len(wire.fanout._keys) == 3


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-300, 300), st.integers(0, 2), st.sampled_from([1, 2])), min_size=1, max_size=60
    ),
    st.integers(0, 2**16 - 1),
)
def test_no_two_plaintexts_ever_share_a_nonce(steps: list[tuple[int, int, int]], start: int) -> None:
    """Whatever is asked for, in whatever order: one (SSRC, sequence), one ciphertext. Both paths agree."""
    counts, sealed = [], []
    for path in ("plain", "native"):
        wire = Wire(path)
        lane = wire.lane()
        seq = start
        for step, variant, ssrc in steps:
            seq += step
            wire.fanout.resend(lane, 1, [packet(seq, bytes([variant]) * 30)], Numbering(ssrc, 100, 0, 0))
        stats = wire.settled()
        counts.append((stats.packets, stats.drops))
        sealed.append(wire.receive(stats.packets))
        wire.close()
    assert counts[0] == counts[1]
    for datagrams in sealed:
        by_nonce: dict[bytes, set[bytes]] = {}
        for datagram in datagrams:
            by_nonce.setdefault(datagram[2:4] + datagram[8:12], set()).add(datagram)
        assert all(len(different) == 1 for different in by_nonce.values())


# Lanes


def test_numbers_change_in_order_with_what_is_sent(wire: Wire) -> None:
    keys = new_keys()
    lane = wire.lane(keys, Numbering(1, 100, 0, 0))
    wire.fanout.send(1, [packet(10)], [lane])
    wire.fanout.number(lane, 1, Numbering(2, 100, 0, 0))
    wire.fanout.send(1, [packet(10)], [lane])
    opener = inbound(keys)
    assert [opener.unprotect(sealed)[8:12] for sealed in wire.receive(2)] == [b"\0\0\0\1", b"\0\0\0\2"]


def test_a_moved_lane_is_heard_elsewhere(wire: Wire) -> None:
    lane = wire.lane()
    elsewhere = udp()
    wire.fanout.move(lane, elsewhere.getsockname())
    wire.fanout.send(1, [packet(1)], [lane])
    assert elsewhere.recv(2000)
    elsewhere.close()


def test_without_numbers_nothing_leaves(wire: Wire) -> None:
    lane = wire.lane()
    wire.fanout.send(0, [packet(1), packet(2)], [lane])
    assert wire.dropped() == {"unnumbered": 2}


def test_malformed_packets_are_dropped_and_the_rest_goes(wire: Wire) -> None:
    bad = [
        b"",
        b"\x80" * 11,
        packet(1, first=0x00),
        packet(1, first=0x8F),
        packet(1, first=0x90),
        packet(1, bytes(1500)),
    ]
    lane = wire.lane()
    wire.fanout.send(1, [*bad, packet(2)], [lane])
    assert len(wire.receive(1)) == 1
    assert wire.dropped() == {"malformed": len(bad)}


@pytest.mark.parametrize(
    "payload", [b"\x90", b"\x90\x80", b"\x90\x80\x80", b"\x90\xc0\x01", b"\x90\xc0\x81\x01"]
)
def test_a_cut_vp8_descriptor_is_malformed(wire: Wire, payload: bytes) -> None:
    wire.fanout.send(1, [packet(1, payload)], [wire.lane()], codec="VP8")
    assert wire.dropped() == {"malformed": 1}


def test_close_is_once_and_for_all(wire: Wire) -> None:
    lane = wire.lane()
    for _ in range(2):
        wire.fanout.close(lane)
    wire.fanout.send(1, [packet(1)], [lane])
    wire.fanout.send_rtcp(lane, bytes.fromhex("80c9000100000001"))
    wire.fanout.number(lane, 1, NUMBERING)
    wire.fanout.move(lane, ("127.0.0.1", 9))
    assert wire.settled().packets == 0


def test_the_context_is_freed_by_the_sender_thread(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    freed_by: list[str] = []
    real = subject.outbound_session

    def watched(keys: SrtpKeys) -> Any:
        session = real(keys)
        weakref.finalize(session, lambda: freed_by.append(threading.current_thread().name))
        return session

    monkeypatch.setattr(subject, "outbound_session", watched)
    lane = wire.lane()
    wire.fanout.send(1, [packet(1)], [lane])
    wire.fanout.close(lane)
    wire.settled()
    assert freed_by == ["fanout"]


def test_lanes_come_and_go_while_frames_fly(wire: Wire) -> None:
    steady = wire.lane()
    for i in range(60):
        passing = wire.lane()
        wire.fanout.send(1, [packet(3 * i + k, bytes(900)) for k in range(3)], [passing, steady])
        wire.fanout.close(passing)
        wire.receive(6)
    assert wire.dropped() == {}
    assert wire.fanout._lanes == {steady}


@pytest.mark.usefixtures("ipv6_loopback")
def test_ipv6_and_ipv4_from_one_socket() -> None:
    for path in ("plain", "native"):
        wire = Wire(path, udp(socket.AF_INET6, "::"))
        six = udp(socket.AF_INET6, "::1")
        lanes = [wire.lane(), wire.fanout.open(new_keys(), six.getsockname())]
        wire.fanout.number(lanes[1], 1, NUMBERING)
        wire.fanout.send(1, [packet(1, bytes(800)), packet(2, bytes(800))], lanes)
        assert [len(six.recv(2000)), len(six.recv(2000))] == [828, 828]
        assert len(wire.receive(2)) == 2
        six.close()
        wire.close()


@pytest.mark.parametrize("address", [("::1", 5000), ("127.0.0.1", 0), ("127.0.0.1", 70_000), ("host", 5000)])
def test_an_address_that_cannot_be_sent_to_is_refused(wire: Wire, address: tuple[str, int]) -> None:
    with pytest.raises(ValueError):
        wire.fanout.open(new_keys(), address)


def test_one_unreachable_viewer_costs_only_himself(wire: Wire) -> None:
    lost = wire.fanout.open(new_keys(), ("255.255.255.255", 9))  # EACCES without SO_BROADCAST
    wire.fanout.number(lost, 1, NUMBERING)
    wire.fanout.send(1, [packet(1, bytes(500)), packet(2, bytes(500))], [lost, wire.lane()])
    assert len(wire.receive(2)) == 2
    assert wire.dropped() == {"unreachable": 2}


# Pressure


def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come")


class Gate(socket.socket):
    """A socket whose sends wait until it is opened, or fail as a full one does."""

    shut = False

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.open = threading.Event()

    def sendto(self, *args: Any) -> int:  # type: ignore[override]
        if self.shut:
            raise BlockingIOError
        assert self.open.wait(60)
        return super().sendto(*args)


def test_a_full_queue_drops_whole_frames_and_says_so() -> None:
    gate = Gate()
    wire = Wire("plain", gate, max_queued_frames=8)
    lane = wire.lane()
    frame = [packet(1)]
    wire.fanout.send(1, frame, [lane])
    until(lambda: wire.fanout.stats().queued == 0)
    taken = [wire.fanout.send(1, [packet(2 + i)], [lane]) for i in range(12)]
    assert taken == [True] * 8 + [False] * 4
    gate.open.set()
    wire.receive(9)
    assert wire.dropped() == {"queue_full": 4}
    wire.close()


def test_what_waited_too_long_is_dropped_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    wire = Wire("plain", gate)
    lane = wire.lane()
    wire.fanout.send(1, [packet(1)], [lane])
    until(lambda: wire.fanout.stats().queued == 0)
    wire.fanout.send(1, [packet(2)], [lane])
    wire.fanout.send(1, [packet(3)], [lane])
    monkeypatch.setattr(subject, "LATE_S", 0.0)
    gate.open.set()
    assert wire.dropped() == {"late": 2}
    assert wire.settled().packets == 1
    wire.close()


def test_a_full_socket_is_waited_for_and_then_drops_to_the_frames_end() -> None:
    gate = Gate()
    wire = Wire("plain", gate)
    gate.shut = True
    lane = wire.lane()
    wire.fanout.send(1, [packet(i) for i in range(5)], [lane])
    assert wire.dropped() == {"blocked": 5}
    gate.shut = False
    gate.open.set()
    wire.fanout.send(1, [packet(9)], [lane])
    assert len(wire.receive(1)) == 1
    wire.close()


@pytest.fixture
def full_pipe() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket with no room. TCP takes the same calls and ignores addresses, and can be filled."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
    )  # a size of our own: the kernel won't grow it
    pipe = socket.socket()
    pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pipe.connect(listener.getsockname())
    drain, _ = listener.accept()
    listener.close()
    pipe.setblocking(False)
    while select.select([], [pipe], [], 0.5)[1]:  # longer than a delayed ACK
        with contextlib.suppress(BlockingIOError):
            while True:
                pipe.send(bytes(1024))
    yield pipe, drain
    pipe.close()
    drain.close()


def test_native_drops_to_the_frames_end_when_the_socket_stays_full(
    full_pipe: tuple[socket.socket, socket.socket],
) -> None:
    wire = Wire("native", full_pipe[0])
    lanes = [wire.lane() for _ in range(20)]
    wire.fanout.send(1, [packet(i, bytes(1000)) for i in range(2 * subject.BURST)], lanes)
    assert wire.dropped() == {"blocked": 2 * subject.BURST * 20}
    wire.close()


def test_native_waits_for_room(
    full_pipe: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, drain = full_pipe
    monkeypatch.setattr(subject, "WAIT_MS", 30_000)
    wire = Wire("native", pipe)
    lane = wire.lane()
    drain.setblocking(False)

    def make_room() -> None:
        ends = time.monotonic() + 30
        while time.monotonic() < ends and wire.fanout.stats().frames == 0:
            try:
                drain.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.002)

    drainer = threading.Thread(target=make_room)
    drainer.start()
    wire.fanout.send(1, [packet(i, bytes(1000)) for i in range(5)], [lane])
    stats = wire.settled()
    drainer.join()
    assert (stats.packets, sum(stats.drops.values())) == (5, 0)
    wire.close()


def test_gso_that_the_path_refuses_is_switched_off_without_loss() -> None:
    wire = Wire("native_without_gso")
    assert wire.fanout.stats().gso
    wire.fanout.send(1, [packet(i, bytes(700)) for i in range(4)], [wire.lane()])
    assert len(wire.receive(4)) == 4
    stats = wire.settled()
    assert (stats.gso, stats.packets, stats.octets) == (False, 4, 4 * 728)
    wire.close()


def test_equal_packets_leave_as_one_train() -> None:
    """UDP_GRO hands a train over as it travelled: that is how we know that it was one."""
    wire = Wire("native")
    wire.receiver.setsockopt(socket.IPPROTO_UDP, 104, 1)  # UDP_GRO, linux/udp.h
    frame = [packet(1, bytes(30)), packet(2, bytes(800)), packet(3, bytes(803)), packet(4, bytes(300))]
    wire.fanout.send(1, frame, [wire.lane()])
    assert [len(wire.receiver.recv(65536)) for _ in range(2)] == [12 + 30 + 16, 2 * 831 + 328]
    wire.close()


# The thread


def test_a_fault_in_one_command_silences_nobody(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    wire.fanout.send(1, [None], [wire.lane()])  # type: ignore[list-item]
    wire.fanout.send(1, [packet(1)], [wire.lane()])
    assert len(wire.receive(1)) == 1
    assert "fan-out step failed" in caplog.text


def test_which_path_it_runs_on_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    wire = Wire("plain")
    wire.close()
    assert [record.getMessage() for record in caplog.records] == [
        "fan-out runs on the plain Python path: about five times the CPU of the native one"
    ]


def test_native_can_be_insisted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "native_path", None)
    sock = udp()
    with pytest.raises(RuntimeError, match="fanout_native_missing"):
        Fanout(sock, native=True)
    plain = Fanout(sock)
    assert plain.stats().native is False
    plain.stop()
    sock.close()


def test_stop_ends_the_thread_and_leaves_the_socket() -> None:
    wire = Wire("native")
    wire.fanout.stop()
    assert not wire.fanout._thread.is_alive()
    assert wire.sock.fileno() >= 0
    wire.close()


def test_both_paths_agree_on_anything() -> None:
    """Random bytes as packets, random changes of numbering: equal counts and equal datagrams."""
    dice = random.Random(7)
    keys = new_keys()
    outcomes = []
    script = [
        (
            [dice.randbytes(dice.choice([0, 5, 12, 13, 20, 60])) for _ in range(3)]
            + [packet(dice.randrange(400), dice.randbytes(40), first=dice.choice([0x80, 0xA0, 0x90]))],
            Numbering(dice.randrange(4), 100, dice.randrange(300), 0, dice.randrange(99), dice.randrange(99)),
        )
        for _ in range(200)
    ]
    for path in PATHS:
        wire = Wire(path)
        lane = wire.lane(keys)
        for frame, numbering in script:
            wire.fanout.number(lane, 1, numbering)
            wire.fanout.send(1, frame, [lane], codec="VP8")
            wire.settled()
        stats = wire.settled()
        outcomes.append((stats.packets, stats.octets, stats.drops, wire.receive(stats.packets)))
        wire.close()
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][0] > 50


def test_the_plain_sender_has_no_gso() -> None:
    assert PlainSender.gso is False
