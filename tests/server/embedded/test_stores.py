"""The embedded stores against the real binaries: start, use, crash, start again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from server.embedded import postgres, valkey
from server.embedded.errors import StartError


@pytest.fixture
def home(store_directory: Path) -> Path:
    directory = store_directory / f"t{time.monotonic_ns()}"
    directory.mkdir(mode=0o711)
    return directory


async def _query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_postgres_keeps_what_was_committed_when_killed(home: Path) -> None:
    server = await postgres.start(home / "pg", home / "pg.log")
    await _query(server.url, "CREATE TABLE t AS SELECT 42 AS n")
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait(30)
    again = await postgres.start(home / "pg", home / "pg.log")
    try:
        assert postgres.running_url(home / "pg") == again.url
        assert await _query(again.url, "SELECT n FROM t") == 42
        assert await _query(again.url, "SHOW synchronous_commit") == "on"
        assert await _query(again.url, "SHOW fsync") == "on"
    finally:
        await again.stop()


async def test_a_stopped_postgres_leaves_no_process_and_starts_again(home: Path) -> None:
    server = await postgres.start(home / "pg", home / "pg.log", durable=False)
    await server.stop()
    assert server.process.returncode == 0
    again = await postgres.start(home / "pg", home / "pg.log", durable=False)
    await again.stop()


async def test_a_stale_pid_file_does_not_stop_postgres(home: Path) -> None:
    server = await postgres.start(home / "pg", home / "pg.log", durable=False)
    await server.stop()
    pid_file = (home / "pg").resolve() / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n1\n5432\n\n\n\nready\n")
    again = await postgres.start(home / "pg", home / "pg.log", durable=False)
    await again.stop()


async def test_a_broken_data_directory_is_told_with_the_end_of_the_log(home: Path) -> None:
    server = await postgres.start(home / "pg", home / "pg.log", durable=False)
    await server.stop()
    ((home / "pg").resolve() / "data" / "PG_VERSION").write_text("9.1\n")
    with pytest.raises(StartError) as caught:
        await postgres.start(home / "pg", home / "pg.log", durable=False)
    assert caught.value.code == "store_failed"
    assert "PG_VERSION" in str(caught.value) or "version" in str(caught.value)


async def test_stores_start_below_a_very_deep_directory(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    database = await postgres.start(deep / "pg", deep / "pg.log", durable=False)
    try:
        assert await _query(database.url, "SELECT 1") == 1
    finally:
        await database.stop()
    store = await valkey.start(deep / "valkey", deep / "valkey.log", durable=False)
    try:
        async with redis.asyncio.Redis.from_url(store.url) as client:
            assert await client.ping()
    finally:
        await store.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
async def test_data_below_a_private_home_is_kept_where_postgres_can_reach_it(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    server = await postgres.start(private / "pg", private / "pg.log", durable=False)
    try:
        assert await _query(server.url, "SELECT 1") == 1
        assert (private / "pg").is_symlink()
    finally:
        await server.stop()
        target = (private / "pg").resolve()
        shutil.rmtree(target)


async def test_valkey_keeps_what_was_written_when_killed(home: Path) -> None:
    server = await valkey.start(home / "valkey", home / "valkey.log")
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("a", "1")
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait(30)
    again = await valkey.start(home / "valkey", home / "valkey.log")
    try:
        async with redis.asyncio.Redis.from_url(again.url) as client:
            assert await client.get("a") == b"1"
    finally:
        await again.stop()


_PARENT = """
import asyncio, pathlib, sys, time
from server.embedded import postgres, valkey
home = pathlib.Path(sys.argv[1])
async def main():
    a = await postgres.start(home / "pg", home / "pg.log", durable=False)
    b = await valkey.start(home / "valkey", home / "valkey.log", durable=False)
    print(a.pid, b.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_killing_the_parent_outright_leaves_no_store(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(home)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    deadline = time.monotonic() + 120
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
