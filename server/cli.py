"""The command line: everything a person or a supervisor starts."""

from __future__ import annotations

import asyncio
import ctypes
import getpass
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from server import config
from server.embedded.errors import StartError

_PR_SET_PDEATHSIG = 1
_PASSWORD_MIN_CHARS = 10
app = typer.Typer(
    name="hawker",
    help="The live-shopping platform that a shop runs itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
owner = typer.Typer(help="The shop's first owner, who invites everybody else.", no_args_is_help=True)
app.add_typer(owner, name="owner")


def main() -> None:
    """Parse the command line and run it; errors that an operator can mend end in one message and code 1."""
    try:
        app()
    except Exception as error:
        code, remedy = getattr(error, "code", None), getattr(error, "remedy", None)
        if not isinstance(code, str) or not isinstance(remedy, str):
            raise
        print(f"hawker: {error} [{code}]", file=sys.stderr)
        sys.exit(1)


@app.command()
def demo(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON on stdout when ready, and nothing else.")
    ] = False,
    port: Annotated[int, typer.Option(min=1024, max=65530, help="First of six ports in a row.")] = 8400,
    data: Annotated[Path, typer.Option(help="Where data and logs are kept.")] = Path(".demo"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """A sample shop with a show on air: stores, payments and all roles on this machine."""
    from server.demo import start
    from server.embedded.box import Addresses

    _end_with_parent()
    _run(start.run(start.Demo(data, Addresses(host, port), as_json), sys.stdout))


@app.command()
def up() -> None:
    """All roles on this machine with settings of yours (deploy/settings.md)."""
    from server.embedded import up as whole

    _end_with_parent()
    _run(whole.run())


@app.command()
def migrate() -> None:
    """Bring the database of HAWKER_DATABASE_URL to this version's schema."""
    from server.store.migrate import newest_revision, upgrade

    asyncio.run(upgrade(_database_url()))
    print(f"The database has schema {newest_revision()}.", file=sys.stderr)


@app.command()
def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="LEDGER:NUMBER:SHA256 as printed by an earlier run: proves that nothing before changed."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Prove the books: chains, stock, orders, payments. Names the first row that fails; ends with 1 then."""
    from server.books import run

    sys.exit(asyncio.run(run(_database_url(), head or [], as_json=as_json, out=sys.stdout)))


@app.command()
def backup(
    keep: Annotated[int, typer.Option(min=1, help="How many copies to keep, with the WAL they need.")] = 7,
) -> None:
    """Copy PostgreSQL to HAWKER_BACKUP_DIR, to be wound forward to any later moment (deploy/backup.md)."""
    from server.embedded import recovery

    taken = asyncio.run(recovery.back_up(config.load(os.environ), _database_url(), keep))
    print(f"Copied to {taken.path}.", file=sys.stderr)


@app.command()
def restore(
    to: Annotated[
        str, typer.Option(help="A moment, ISO 8601 with its zone; without it all that was archived.")
    ] = "",
) -> None:
    """Wind the embedded PostgreSQL back to a moment, and prove the books. Stop `hawker up` first."""
    from server.books import say
    from server.embedded import recovery

    _end_with_parent()
    restored = asyncio.run(recovery.wind_back(config.load(os.environ), recovery.moment(to) if to else None))
    for path in restored.aside:
        print(f"What was there is kept at {path}.", file=sys.stderr)
    say(restored.report, sys.stdout)
    sys.exit(0 if restored.report.passed else 1)


def _database_url() -> str:
    """HAWKER_DATABASE_URL, or the embedded PostgreSQL that `hawker up` runs below HAWKER_DATA_DIR."""
    from server.embedded import postgres

    known = config.load(os.environ)
    url = known.database_url or postgres.running_url(known.data_dir / "postgres")
    if not url:
        raise StartError(
            "settings_invalid",
            "HAWKER_DATABASE_URL is not set, and no PostgreSQL of ours runs below HAWKER_DATA_DIR.",
            "Set it, or start `hawker up` first (deploy/settings.md).",
        )
    return url


@owner.command("create")
def owner_create(
    email: Annotated[str, typer.Option(help="The owner's address, to sign in with.")],
    name: Annotated[str, typer.Option(help="The owner's name.")] = "Owner",
) -> None:
    """Make an owner of the shop; again, to set a new password. It is asked for, or read from stdin."""
    url = _database_url()
    password = _new_password()
    asyncio.run(_create_owner(url, email, name, password))
    print(f"{email} owns the shop and can sign in.", file=sys.stderr)


def _new_password() -> str:
    """Never an argument: those show in `ps` and in the shell's history."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n")
    elif (password := getpass.getpass("New password: ")) != getpass.getpass("Once more: "):
        raise StartError("passwords_differ", "The two passwords differ.", "Try again.")
    if len(password) < _PASSWORD_MIN_CHARS:
        raise StartError(
            "password_too_short",
            "The password is too short.",
            f"Use {_PASSWORD_MIN_CHARS} characters or more.",
        )
    return password


async def _create_owner(url: str, email: str, name: str, password: str) -> None:
    from server.auth.staff import create_owner
    from server.store.pool import open_pool

    async with open_pool(url, max_size=2) as pool:
        await create_owner(pool, email, name, password)


@app.command("demo-seed", hidden=True)
def demo_seed() -> None:
    """Fill the sample shop; one line of JSON on stdout (server/demo/handover.py)."""
    from server.demo.seed import run

    asyncio.run(run(config.load(os.environ, "web"), sys.stdout))


@app.command()
def settings() -> None:
    """Print every setting with its default and meaning, as Markdown."""
    print(config.markdown(), end="")


def _role_command(name: str, meaning: str) -> None:
    def command() -> None:
        from server import role

        sys.exit(role.main(name))

    app.command(name, help=meaning)(command)


for _name, _meaning in {
    "web": "Role: pages, API and webhooks.",
    "overlay": "Role: the live room's websockets.",
    "stream": "Role: the media relay (WHIP, WHEP); one a core.",
    "worker": "Role: background jobs.",
    "simulator": "Role: the payment simulator, for demos and tests.",
    "programme": "Role: the demo's test programme, sent by WHIP.",
}.items():
    _role_command(_name, _meaning)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until a signal has stopped everything."""
    try:
        asyncio.run(work)
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("Everything is stopped.", file=sys.stderr)


def _end_with_parent() -> None:
    """Started by make, end when make is killed outright: it can't pass the signal on then."""
    if not os.environ.pop("HAWKER_DIE_WITH_PARENT", "") or not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent or parent == 1:
        sys.exit("hawker: started by a process that is gone already [parent_gone]")
