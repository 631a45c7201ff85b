"""Runs in a child process whose `_fanout` was built with sanitizers: python FILE path/to/_fanout.so

Everything that the C file can meet: good frames, cut and random packets, closed lanes, a closed socket, wrong
arguments. It passes when the process ends well; a sanitizer that finds something ends it otherwise.
"""

import importlib.machinery
import importlib.util
import os
import random
import socket
import struct
import sys
from typing import Any


def load(path: str) -> Any:
    loader = importlib.machinery.ExtensionFileLoader("_fanout", path)
    spec = importlib.util.spec_from_loader("_fanout", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def frame(dice: random.Random) -> tuple[bytes, ...]:
    def packet() -> bytes:
        if dice.random() < 0.3:
            return dice.randbytes(dice.choice([0, 1, 11, 12, 16, 17, 40, 1500, 1501]))
        bits = dice.choice([0x80, 0x80, 0x90, 0xA0, 0x8F, 0xB3])
        head = struct.pack("!BBHII", bits, 96, dice.randrange(2000), 0, 1)
        descriptor = dice.choice([b"", b"\x90\xc0\xff\xff\xff", b"\x90\x80"])
        return head + descriptor + dice.randbytes(dice.randrange(1300))

    return tuple(packet() for _ in range(dice.randrange(33)))


def main(path: str) -> None:
    fanout = load(path)
    from stream.wire._srtp import SrtpKeys, context_address, function_addresses, outbound_session

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    where = (int(socket.AF_INET), socket.inet_aton("127.0.0.1"), sock.getsockname()[1], 0, 0)

    def lane() -> Any:
        profile, key, salt = dice.choice([("AEAD_AES_128_GCM", 16, 12), ("AES128_CM_SHA1_80", 16, 14)])
        session = outbound_session(SrtpKeys(profile, os.urandom(key), os.urandom(salt)))
        return fanout.Lane(session, context_address(session), where)

    dice = random.Random(11)
    sender = fanout.Sender(sock.fileno(), *function_addresses())
    for step in range(1, 400):
        lanes = tuple(lane() for _ in range(dice.randrange(5)))
        for one in lanes[1:]:
            one.number(1, (dice.randrange(12), 300, dice.randrange(1 << 16), 5, 7, 9))
        for _ in range(4):
            packets = frame(dice)
            sizes = [min(len(packet) + dice.randrange(80), 1600) for packet in packets]
            numbers = (dice.randrange(2**32), 97, 0, 0, 0, 0) if dice.random() < 0.2 else None
            kinds = bytes(dice.choice([1, 9, 0]) for _ in packets)
            sender.send(lanes, packets, sizes, kinds, step, numbers, 1)
        for one in lanes[:2]:
            sender.send_rtcp(one, dice.randbytes(dice.choice([0, 7, 8, 40, 1500, 1501])))
            one.close()
            sender.send_rtcp(one, bytes(8))
    refuse(sender, lane(), where)
    sock.close()
    closed = lane()
    closed.number(1, (1, 96, 0, 0, 0, 0))
    good = struct.pack("!BBHII", 0x80, 96, 1, 0, 1)
    assert sender.send((closed,), (good,), [12], b"\1", 999, None, 1)[3] == 1  # EBADF: unreachable
    print("whole")


def refuse(sender: Any, lane: Any, where: tuple[Any, ...]) -> None:
    good = bytes.fromhex("80600001000000020000000a")
    wrong: list[tuple[Any, ...]] = [
        ((object(),), (good,), [12], b"\1", 1, None, 1),
        ((lane,), (good,) * 33, [12] * 33, b"\1" * 33, 1, None, 1),
        ((lane,), (good,), [], b"\1", 1, None, 1),
        ((lane,), (good,), [12], b"", 1, None, 1),
        ((lane,), ("text",), [12], b"\1", 1, None, 1),
        ((lane,), (good,), ["12"], b"\1", 1, None, 1),
        ((lane,), (good,), [12], b"\4", 1, None, 1),
        ((lane,), (good,), [12], b"\1", 1, (1, 2), 1),
    ]
    calls = [(sender.send, arguments) for arguments in wrong]
    calls += [(lane.move, ((99, b"", 1, 0, 0),)), (lane.move, (None,)), (lane.number, (4, (1,) * 6))]
    calls += [(lane.__init__, (None, 0, where)), (type(lane), ())]
    for call, arguments in calls:
        try:
            call(*arguments)
        except (TypeError, ValueError, RuntimeError):
            continue
        raise AssertionError((call, arguments))


if __name__ == "__main__":
    main(sys.argv[1])
