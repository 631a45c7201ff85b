"""`hawker demo`: everything on one box, with a show on air, and what a person needs to look at it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import msgspec

from server import config
from server.demo import handover
from server.demo.handover import Accounts, Seeded
from server.embedded import box, child, data_directory
from server.embedded.box import Addresses, Box
from server.embedded.data_directory import DataDirectory
from server.embedded.errors import StartError, tail
from server.embedded.ports import check_free
from server.embedded.program import Health
from server.embedded.progress import progress

_SEED_S = 120.0
_STEPS = 10  # two stores, schema, simulator, sample shop, four roles, programme
_OWN_PORTS = ("_PORT", "_HOST")
_STRIPE = "HAWKER_STRIPE_"


@dataclass(frozen=True, slots=True)
class Demo:
    """What was asked for on the command line."""

    data: Path
    addresses: Addresses
    as_json: bool


async def run(demo: Demo, out: TextIO) -> None:
    """Start all, print where it is, keep it running until told to stop. Raises StartError."""
    bars = progress(_STEPS)
    try:
        check_free(demo.addresses.ports(), "Stop what uses it, or take other ports: --port 9400.")
        async with box.opened(demo.data, partial(_environment, demo.addresses), bars) as home:
            accounts = _accounts(home)
            seeded = await _start_roles(home, demo.addresses)
            bars.close()
            _announce(demo, home, seeded, accounts, out)
            await asyncio.Event().wait()
    finally:
        bars.close()


def _environment(addresses: Addresses, directory: DataDirectory) -> dict[str, str]:
    """Settings of all the demo's roles: ours, then whatever the caller set himself, ports apart.

    With any HAWKER_STRIPE_* given, Stripe itself is used, and all of its settings must be given.
    """
    given = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(config.PREFIX) and not name.endswith(_OWN_PORTS) and value
    }
    made = directory.document("secrets.json", data_directory.new_secrets)
    own = {config.variable(name): value for name, value in made.items()}
    own["HAWKER_STRIPE_API_URL"] = addresses.url("simulator")
    if any(name.startswith(_STRIPE) for name in given):
        own = {name: value for name, value in own.items() if not name.startswith(_STRIPE)}
    environment = {**addresses.environment(), **own, **given, "HAWKER_DEMO": "yes"}
    config.load({**box.STORE_PLACEHOLDERS, **environment}, "web")
    return environment


def _accounts(home: Box) -> Accounts:
    home.directory.document(handover.FILE, handover.new_sign_ins)
    return handover.read_accounts(home.directory.path)


async def _start_roles(home: Box, addresses: Addresses) -> Seeded:
    """The simulator, then the shop's roles while the sample shop is filled, then the show."""
    health = {role: Health(addresses.host, addresses.port(role)) for role in (*box.SHOP, "simulator")}
    health["worker"] = Health("127.0.0.1", addresses.port("worker"))
    if home.environ.get("HAWKER_STRIPE_API_URL") == addresses.url("simulator"):
        await home.supervisor.start(home.started(home.program("simulator", health["simulator"])))
    seeding = asyncio.create_task(_seed(home))
    try:
        shop = [home.started(home.program(role, health[role])) for role in box.SHOP]
        await home.supervisor.start(*shop)
        seeded = await seeding
    except BaseException:
        seeding.cancel()
        await asyncio.gather(seeding, return_exceptions=True)
        raise
    target = {
        "HAWKER_PROGRAMME_URL": seeded.programme.url,
        "HAWKER_PROGRAMME_TOKEN": seeded.programme.token,
    }
    await home.supervisor.start(home.started(home.program("programme", None, target)))
    home.supervisor.follow("stream", "programme")  # rather than wait for its session's consent to run out
    return seeded


async def _seed(home: Box) -> Seeded:
    """Fill the sample shop in a child of its own, whose memory goes with it."""
    program = home.program("demo-seed", None)
    with home.progress.step("sample shop"), _Pipe() as answer:
        process = child.spawn(program.argv, log=program.log, env=program.env, stdout=answer.write_end)
        try:
            done = await child.ended(process, _SEED_S)
        finally:
            await child.stop(process)
        if not done or process.returncode != 0:
            log = program.log.read_text(errors="replace")
            raise StartError(
                "sample_shop_failed",
                f"The sample shop can't be filled:\n{tail(log)}\n",
                f"The whole log is {program.log}.",
            )
        return msgspec.json.decode(answer.content(), type=Seeded)


class _Pipe:
    """Takes a child's one line; its bytes wait in the kernel (64 KiB) until the child has ended."""

    def __enter__(self) -> _Pipe:
        self._read_end, self.write_end = os.pipe()
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._read_end)
        os.close(self.write_end)

    def content(self) -> bytes:
        return os.read(self._read_end, 65_536)


def _announce(demo: Demo, home: Box, seeded: Seeded, accounts: Accounts, out: TextIO) -> None:
    if demo.as_json:
        report = as_report(demo.addresses, seeded, accounts, home.supervisor.pids())
        print(msgspec.json.encode(report).decode(), file=out, flush=True)
    else:
        print(_for_people(demo, seeded, accounts), file=out, flush=True)


def as_report(
    addresses: Addresses, seeded: Seeded, accounts: Accounts, pids: dict[str, int]
) -> dict[str, Any]:
    """The one line of `--json`."""
    return {
        "web_url": addresses.url("web"),
        "overlay_url": addresses.url("overlay", "ws"),
        "show_id": seeded.show_id,
        "viewer_url": seeded.viewer_url,
        "studio_url": seeded.studio_url,
        "console_url": seeded.console_url,
        "whip": msgspec.to_builtins(seeded.whip),
        "whep_url": seeded.whep_url,
        "accounts": msgspec.to_builtins(accounts),
        "pids": {"hawker": os.getpid(), **pids},
    }


def _for_people(demo: Demo, seeded: Seeded, accounts: Accounts) -> str:
    width = max(len(role) for role in handover.ROLES)
    lines = [
        "",
        "  A show is on air. Open it:",
        "",
        f"    watch and buy   {seeded.viewer_url}",
        f"    studio          {seeded.studio_url}",
        f"    console         {seeded.console_url}",
        f"    shop            {demo.addresses.url('web')}",
        "",
        "  Sign in as:",
        "",
    ]
    for role in handover.ROLES:
        account = getattr(accounts, role)
        lines.append(f"    {role:<{width}}  {account.email:<24} {account.password}")
    lines += [
        "",
        "  A second show is ready for any WHIP client (OBS, FFmpeg); its key is good until the next start:",
        "",
        f"    server {seeded.whip.url}",
        f"    token  {seeded.whip.token}",
        "",
        f"  Payments are simulated. Data and logs: {demo.data.absolute()}. Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)
