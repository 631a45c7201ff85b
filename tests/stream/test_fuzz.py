"""A small share of `make fuzz`, so that a parser that breaks is known before the long run."""

import random

from loadtests.fuzz.mutator import MAX_BYTES, mutate, mutate_text
from loadtests.fuzz.rig import Rig
from loadtests.fuzz.seeds import simulcast_offer
from loadtests.fuzz.targets import Targets
from loadtests.fuzz.worker import run
from stream.wire.dtls import DtlsContext


def test_some_thousand_inputs_crash_nothing_and_leave_nothing() -> None:
    found = run(10_000, seed=20)
    assert found.inputs.total() >= 10_000
    assert (found.crashes, found.leaks) == (0, 0), "\n".join(found.examples)


def test_a_crash_is_seen_also_where_the_relay_goes_on(monkeypatch) -> None:
    """The run is worth nothing if it would pass over a bug."""
    monkeypatch.setattr("stream.wire.ingress.parse_binding", lambda _: 1 // 0)
    monkeypatch.setattr(Targets, "shares", lambda self: [(self.stun_unsigned, 1.0)])
    monkeypatch.setattr(Targets, "__init__", _without_handshakes)
    assert run(50, seed=1).crashes >= 40


def _without_handshakes(self, dice, seeds, context) -> None:
    self.rig, self.last, self._dice, self._seeds = Rig(context), b"", dice, seeds
    self._publishers, self._viewers = {}, []
    seeds.stun = [bytes(20)]


def test_what_is_left_behind_is_counted() -> None:
    context = DtlsContext()
    rig = Rig(context)
    client = rig.publisher("show", simulcast_offer(context.fingerprint[1]))
    client.connect()
    rig.clock.call_later(1e9, lambda: None)
    assert rig.close() == {"timers": 1}


def test_the_same_seed_gives_the_same_inputs() -> None:
    seeds = [bytes(range(40)), b"\x80" * 30]
    first, again = random.Random(4), random.Random(4)
    inputs = [mutate(first, seeds) for _ in range(2000)]
    assert inputs == [mutate(again, seeds) for _ in range(2000)]
    assert len(set(inputs)) > 1500
    assert max(map(len, inputs)) <= MAX_BYTES
    texts = {mutate_text(first, ["v=0\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96"]) for _ in range(500)}
    assert len(texts) > 300
