"""What is being done, how far it is, how long it took: lines, or moving bars on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Steps may overlap. `tell` is for everything else that people should see."""

    def step(self, what: str) -> AbstractContextManager[None]: ...
    def tell(self, line: str) -> None: ...
    def close(self) -> None: ...


class Lines:
    """Plain lines, for files and pipes: `[ 3/11   1.2 s] room: ready after 0.8 s`.

    Once closed, what has to be started again is no step of the way any more: lines carry the time alone.
    """

    def __init__(self, total: int, out: TextIO) -> None:
        self._total, self._out = total, out
        self._done = 0
        self._closed = False
        self._began = time.monotonic()

    def tell(self, line: str) -> None:
        elapsed = time.monotonic() - self._began
        place = "" if self._closed else f"{self._done:2}/{self._total} "
        print(f"[{place}{elapsed:6.1f} s] {line}", file=self._out, flush=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        self.tell(f"{what} …")
        yield
        self._done += 1
        self.tell(f"{what}: ready after {time.monotonic() - began:.1f} s")

    def close(self) -> None:
        self._closed = True


class Bars:
    """A bar and a line a step, drawn by rich."""

    def __init__(self, total: int, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Rich

        self._rich: RichProgress = Rich(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=out),
            transient=False,
        )
        self._whole = self._rich.add_task("Hawker", total=total)
        self._rich.start()

    def tell(self, line: str) -> None:
        self._rich.console.print(line, markup=False, highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        task = self._rich.add_task(what, total=1)
        yield
        self._rich.advance(task)
        self._rich.advance(self._whole)

    def close(self) -> None:
        """Leave the finished bars on the screen."""
        self._rich.stop()


def progress(total: int, out: TextIO | None = None) -> Progress:
    """The kind of progress that suits `out` (stderr)."""
    stream = out or sys.stderr
    return Bars(total, stream) if stream.isatty() else Lines(total, stream)
