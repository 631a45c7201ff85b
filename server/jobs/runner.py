"""Runs jobs again and again until cancelled. Any number of workers may run the same ones: every job claims
what it works on (a lease, a skipped lock, an advisory lock), so two never do the same thing twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from overlay.tasks import together

_LOG = logging.getLogger("hawker.jobs")
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does a bounded amount of work and returns how much; it is called every `every_s`, or at once
    while `eager` and there was something. A run that takes longer than `deadline_s` is cancelled.
    """

    name: str
    run: Callable[[], Awaitable[int]]
    every_s: float
    deadline_s: float = 30.0
    eager: bool = True


class Runner:
    def __init__(self, jobs: Sequence[Job], registry: CollectorRegistry) -> None:
        self._jobs = jobs
        self._done = Counter("hawker_job_items", "Things done by a job", ["job"], registry=registry)
        self._failed = Counter("hawker_job_failures", "Runs of a job that failed", ["job"], registry=registry)
        self._last = Gauge(
            "hawker_job_last_success_seconds", "When a job last ran well", ["job"], registry=registry
        )

    async def run(self) -> None:
        """Until cancelled. A job that fails waits, longer each time, and never stops the others."""
        await together(*(self._repeat(job) for job in self._jobs))

    async def once(self) -> int:
        """Each job once, one after another; how much was done. Raises what a job raises."""
        return sum([await job.run() for job in self._jobs])

    async def drain(self, most: int = 100) -> None:
        """Until no job finds anything to do, at most `most` rounds."""
        for _ in range(most):
            if not await self.once():
                return

    async def _repeat(self, job: Job) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(job.deadline_s):
                    done = await job.run()
            except Exception as error:
                failures += 1
                self._failed.labels(job.name).inc()
                _LOG.warning("job_failed", extra={"job": job.name, "failures": failures}, exc_info=error)
                await asyncio.sleep(_pause_s(job, failures))
                continue
            failures = 0
            self._done.labels(job.name).inc(done)
            self._last.labels(job.name).set(time.time())
            await asyncio.sleep(0 if done and job.eager else job.every_s)


def _pause_s(job: Job, failures: int) -> float:
    """Doubling, with jitter so that workers don't come back in step."""
    longest = min(max(job.every_s, 0.1) * 2.0 ** min(failures, 10), _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)
