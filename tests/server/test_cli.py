"""The command line as a person meets it: real processes, exit codes, one clear message."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def _hawker(*words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HAWKER_")}
    return subprocess.run(
        [sys.executable, "-m", "server", *words],
        env={**env, **variables},
        cwd=Path(__file__).parents[2],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_help_lists_the_commands() -> None:
    done = _hawker("--help")
    assert done.returncode == 0
    for command in ("demo", "up", "migrate", "web", "overlay", "stream", "worker", "simulator", "owner"):
        assert command in done.stdout


@pytest.mark.parametrize("role", ["web", "overlay", "stream", "worker"])
def test_a_role_without_settings_names_all_that_are_missing(role: str) -> None:
    done = _hawker(role)
    assert done.returncode == 78
    assert "HAWKER_REDIS_URL" in done.stderr
    assert "HAWKER_SECRET_KEY" in done.stderr
    assert "settings_invalid" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_refuses_a_default_secret() -> None:
    done = _hawker("up", HAWKER_SECRET_KEY="changeme-changeme-changeme-changeme-123")
    assert done.returncode == 1
    assert "HAWKER_SECRET_KEY" in done.stderr
    assert "changeme" not in done.stderr


def test_demo_names_the_port_in_use_and_prints_nothing_on_stdout(
    tmp_path: Path, free_ports: Callable[[int], int]
) -> None:
    port = free_ports(8)
    with socket.create_server(("127.0.0.1", port)):
        done = _hawker("demo", "--json", "--port", str(port), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "[port_in_use]" in done.stderr
    assert str(port) in done.stderr
    assert done.stdout == ""


def test_demo_names_a_database_that_is_down(tmp_path: Path, free_ports: Callable[[int], int]) -> None:
    port = free_ports(8)
    url = "postgresql://shop:hunter2@127.0.0.1:9/shop"
    done = _hawker("demo", "--port", str(port), "--data", str(tmp_path / "data"), HAWKER_DATABASE_URL=url)
    assert done.returncode == 1
    assert "[database_down]" in done.stderr
    assert "hunter2" not in done.stderr


def test_migrate_without_a_database_says_so() -> None:
    done = _hawker("migrate")
    assert done.returncode == 1
    assert "HAWKER_DATABASE_URL" in done.stderr


def test_a_demo_refuses_a_live_stripe_key(tmp_path: Path, free_ports: Callable[[int], int]) -> None:
    done = _hawker(
        "demo",
        *("--port", str(free_ports(8)), "--data", str(tmp_path / "data")),
        HAWKER_STRIPE_SECRET_KEY="sk_live_0123456789",
        HAWKER_STRIPE_PUBLISHABLE_KEY="pk_test_0123456789",
        HAWKER_STRIPE_WEBHOOK_SECRET="whsec_0123456789",
    )
    assert done.returncode == 1
    assert "live Stripe key" in done.stderr
    assert "sk_live_0123456789" not in done.stderr


def test_an_owner_is_made_with_a_password_from_stdin(fresh_migrated_database_url: str) -> None:
    made = _hawker(
        *("owner", "create", "--email", "boss@shop.example"),
        stdin="correct horse battery\n",
        HAWKER_DATABASE_URL=fresh_migrated_database_url,
    )
    assert made.returncode == 0, made.stderr
    assert "boss@shop.example" in made.stderr


def test_an_owner_needs_a_password_of_some_length() -> None:
    done = _hawker(
        *("owner", "create", "--email", "boss@shop.example"),
        stdin="short\n",
        HAWKER_DATABASE_URL="postgresql://u@127.0.0.1:9/x",
    )
    assert done.returncode == 1
    assert "[password_too_short]" in done.stderr


def test_a_box_migrates_its_own_database(fresh_migrated_database_url: str) -> None:
    done = _hawker("migrate", HAWKER_DATABASE_URL=fresh_migrated_database_url)
    assert done.returncode == 0, done.stderr
    assert "schema" in done.stderr
