"""The judges of the commerce benchmarks: what they would call wrong, and how they read the room's frames."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from loadtests.commerce.chaos import charged_twice
from loadtests.commerce.chaos_faults import FAULTS
from loadtests.commerce.drop_buyers import Member, masked
from overlay.fanout import framed


def intent(order: str, received: int) -> dict[str, Any]:
    return {"metadata": {"order": order}, "amount_received": received}


def test_a_second_charge_is_found_also_when_it_went_back() -> None:
    audit = {"payment_intents": [intent("a", 100), intent("b", 100), intent("b", 100), intent("c", 0)]}
    assert [(v.kind, v.subject) for v in charged_twice(audit)] == [("double_charge", "order b")]


def test_a_seed_breaks_everything_in_its_own_order() -> None:
    first, again, other = (random.Random(f"faults:{seed}").sample(FAULTS, len(FAULTS)) for seed in (1, 1, 2))
    assert first == again != other
    names = {fault.__name__ for fault in FAULTS}
    assert {"web killed", "overlay killed", "worker killed", "postgres killed", "valkey killed"} <= names
    assert len(FAULTS) >= 10


async def test_a_buyer_reads_frames_however_they_are_cut() -> None:
    for cut in (1, 7, 1_000):
        member = Member()
        said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(
            framed(text)
            for text in (
                b'{"type":"welcome","protocol":1}',
                b'{"type":"events","events":["' + b"stock_changed" * 20 + b'"]}',
                b'{"type":"refused","id":"tap-1","code":"sold_out"}',
            )
        )
        for at in range(0, len(said), cut):
            member.data_received(said[at : at + cut])
        await member.welcomed
        assert b"sold_out" in await member.answered
        assert member.stock_frames == 1


async def test_a_buyer_who_was_told_unavailable_has_no_answer_yet() -> None:
    member = Member()
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    member.data_received(upgraded + framed(b'{"type":"refused","id":"tap-1","code":"unavailable"}'))
    await asyncio.sleep(0)
    assert not member.answered.done()
    member.data_received(framed(b'{"type":"ack","id":"tap-1","order":{}}'))
    assert (await member.answered).startswith(b'{"type":"ack"')


async def test_a_refused_upgrade_is_told() -> None:
    member = Member()
    member.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    error = (await asyncio.gather(member.welcomed, return_exceptions=True))[0]
    assert "503" in str(error)


def test_a_clients_frame_is_masked() -> None:
    frame = masked(0x81, b"x" * 300)
    assert (frame[1] & 0x80, int.from_bytes(frame[2:4]), frame[4:8], len(frame)) == (
        0x80,
        300,
        b"\0" * 4,
        308,
    )
