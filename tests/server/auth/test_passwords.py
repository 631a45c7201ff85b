"""Password hashes, off the loop and bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from server.auth.passwords import Passwords
from server.problems import Problem

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords(CHEAP)
    yield passwords
    passwords.close()


async def test_the_right_password_alone_matches(passwords: Passwords) -> None:
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert await passwords.matches(kept, "correct horse")
    assert not await passwords.matches(kept, "wrong horse")
    assert not await passwords.matches("no hash", "correct horse")


async def test_nobody_takes_as_long_and_never_matches() -> None:
    passwords = Passwords(PasswordHasher(time_cost=4, memory_cost=8192, parallelism=1))
    kept = await passwords.hash("somebody's")
    await passwords.matches(None, "warm up")

    async def cpu_s(hash_or_none: str | None) -> float:
        took = []
        for _ in range(5):
            began = time.process_time()
            assert not await passwords.matches(hash_or_none, "nobody's")
            took.append(time.process_time() - began)
        return min(took)

    assert await cpu_s(None) > await cpu_s(kept) / 2
    passwords.close()


async def test_the_loop_goes_on_and_only_so_many_wait() -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=4096), workers=1, waiting=2)
    done = await asyncio.gather(*(passwords.hash("x") for _ in range(6)), return_exceptions=True)
    refused = [one.code for one in done if isinstance(one, Problem)]
    assert refused == ["busy"] * 3
    assert await passwords.hash("again")
    passwords.close()


def test_weaker_hashes_are_stale(passwords: Passwords) -> None:
    assert Passwords().stale(CHEAP.hash("x"))
    assert not passwords.stale(CHEAP.hash("x"))
