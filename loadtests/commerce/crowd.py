"""A process full of people and the line to it: JSON objects, one a line, both ways."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop


class Crowd:
    """The parent's end. `module` is run with `python -m`; it calls `in_crowd`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.all_here = asyncio.Event()
        self.all_here.set()

    @classmethod
    async def start(cls, module: str, what: dict[str, Any]) -> Crowd:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
        )
        crowd = cls(process)
        await crowd.say(what)
        return crowd

    async def say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self, name: str) -> Any:
        """The next line that tells this; what comes before it about who is in the room is kept."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if name in said:
                return said[name]
            self.all_here.set() if said.get("all_here") else self.all_here.clear()
        raise RuntimeError(f"a crowd's process ended before it told {name!r}")

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


Hear = Callable[[], Awaitable[dict[str, Any]]]


def in_crowd(run: Callable[[Hear], Awaitable[None]]) -> None:
    """The process's end: `run` is given what waits for the parent's next word."""

    async def main() -> None:
        reader = asyncio.StreamReader(limit=2**24)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )

        async def hear() -> dict[str, Any]:
            heard: dict[str, Any] = json.loads(await reader.readline())
            return heard

        await run(hear)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def say(what: dict[str, Any]) -> None:
    """To the parent."""
    print(json.dumps(what), flush=True)


def tell(line: str) -> None:
    """To whoever watches."""
    print(line, file=sys.stderr, flush=True)
