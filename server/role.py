"""One role of ours as a process. Imports no more than the role needs: memory is counted per process.

A role runs until SIGTERM or SIGINT, which cancel it; if it has not ended some seconds later it is ended hard,
so that nothing is left behind when whoever supervises it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from server import config
from server import logging as logs

STOP_S = 12
EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state

Run = Callable[[config.Settings, Callable[[], None]], Awaitable[None]]
MODULES = {
    "web": "server.app.web",
    "overlay": "server.app.overlay",
    "stream": "server.app.stream",
    "worker": "server.app.worker",
    "simulator": "server.embedded.simulator",
    "programme": "server.demo.programme",
}


def main(name: str) -> int:
    """Run a role to its end; the exit code."""
    try:
        settings = config.load(os.environ, name)
    except config.SettingsError as error:
        print(f"hawker {name}: {error} [{error.code}]", file=sys.stderr)
        return EX_CONFIG
    logs.configure(name, form=settings.log_format, level=settings.log_level)
    _warn_of_unknown_variables(name)
    module = importlib.import_module(MODULES[name])
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        with asyncio.Runner(loop_factory=_loop) as runner:
            drain_s = settings.stream_drain_s if name == "stream" else 0
            runner.run(_until_told(module.run, settings, STOP_S + drain_s))
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _until_told(run: Run, settings: config.Settings, stop_s: int) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        signal.alarm(stop_s)  # SIGALRM's default ends the process
        if task:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await run(settings, _ready)


def _ready() -> None:
    """Tell whoever waits for the file HAWKER_READY_FILE that this role does its work."""
    import structlog

    structlog.get_logger("hawker").info("ready", pid=os.getpid())
    if path := os.environ.get("HAWKER_READY_FILE"):
        Path(path).touch()


def _warn_of_unknown_variables(name: str) -> None:
    import structlog

    expected = {"HAWKER_READY_FILE", "HAWKER_DIE_WITH_PARENT"}
    for variable, meant in config.unknown_variables(os.environ).items():
        if variable not in expected and not variable.startswith("HAWKER_PROGRAMME_"):
            structlog.get_logger("hawker").warning("unknown_setting", variable=variable, meant=meant)
