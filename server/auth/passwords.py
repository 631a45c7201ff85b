"""Password hashes: argon2id off the event loop, in a bounded pool of threads.

A hash costs about 0.3 s of one core and 64 MiB (argon2-cffi's defaults, RFC 9106's low-memory choice), so at
most `workers` run at once and at most `waiting` wait; more are turned away with `busy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.problems import Problem

T = TypeVar("T")

_DEADLINE_S = 20.0


class Passwords:
    """Hash and check passwords. Use `close` at the end."""

    def __init__(self, hasher: PasswordHasher | None = None, *, workers: int = 2, waiting: int = 32) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._places = workers + waiting
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        return await self._off_loop(lambda: self._hasher.hash(password))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right. None (nobody has that e-mail) takes as long and is never right."""
        return await self._off_loop(lambda: self._verify(password_hash, password))

    def stale(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash("nobody's")
        try:
            right = self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return right and password_hash is not None

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._places <= 0:
            raise Problem("busy", "Too many people are signing in at once.", retry_after_s=5)
        self._places -= 1
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._free_place())
        async with asyncio.timeout(_DEADLINE_S):
            return await asyncio.wrap_future(future)

    def _free_place(self) -> None:
        self._places += 1
