"""A whole shop for load and fault tests: stores, payment simulator and roles under the real supervisor.

Everything is as `hawker demo` runs it, but for the sample shop: people, cards and stock are written as rows,
and the simulator's customers into its own file before it starts, since signing up ten thousand people through
the pages would measure argon2.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from loadtests.commerce.shop import BenchShop
from server.auth.tokens import new_token
from server.embedded import box, data_directory
from server.embedded.box import Box
from server.embedded.program import Health
from server.payments.simulator import saving
from server.payments.simulator.call import Call
from server.payments.simulator.ledger import Ledger, Obj

STOP_S = 10.0
SESSION_COOKIE = "hawker_session"


@dataclass(frozen=True, slots=True)
class Role:
    """One process: `name` is its own, `role` what it does, `argv` after `python -m` where it isn't ours."""

    name: str
    role: str
    port: int
    argv: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class Told:
    """Progress of a box, for the log: to stderr, or to nobody."""

    def __init__(self, aloud: bool) -> None:
        self._aloud = aloud

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        yield

    def tell(self, line: str) -> None:
        if self._aloud:
            print(f"    {line.splitlines()[0]}", file=sys.stderr, flush=True)

    def close(self) -> None: ...


@dataclass(slots=True)
class Rig:
    """A running shop. `ports` by process name."""

    box: Box
    ports: Mapping[str, int]
    keys: Mapping[str, str]

    @property
    def database_url(self) -> str:
        return self.box.stores.database

    @property
    def redis_url(self) -> str:
        return self.box.stores.redis

    @property
    def secret_key(self) -> str:
        return self.keys["HAWKER_STRIPE_SECRET_KEY"]

    @property
    def publishable_key(self) -> str:
        return self.keys["HAWKER_STRIPE_PUBLISHABLE_KEY"]

    def url(self, name: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.ports[name]}"

    def kill(self, name: str) -> bool:
        """SIGKILL; the supervisor starts it again. False: it is not running just now."""
        pid = self.box.supervisor.pids().get(name)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    async def start(self, *roles: Role) -> None:
        """Start processes together and wait until they are ready."""
        programs = []
        for role in roles:
            variable = "SIMULATOR" if role.role == "simulator" else role.role.upper()
            env = {
                f"HAWKER_{variable}_PORT": str(role.port),
                "HAWKER_NODE_ID": role.name,
                **dict(role.env),
            }
            program = self.box.program(role.role, Health("127.0.0.1", role.port))
            argv = [sys.executable, "-m", *role.argv] if role.argv else program.argv
            log = self.box.directory.logs / f"{role.name}.log"
            own = replace(program, name=role.name, argv=argv, log=log, env={**program.env, **env})
            programs.append(self.box.started(own))
        await self.box.supervisor.start(*programs)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now, below those the kernel hands out."""
    while True:
        base = random.randrange(20_000, 29_000)
        with contextlib.ExitStack() as bound:
            try:
                for offset in range(count):
                    probe = bound.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", base + offset))
            except OSError:
                continue
            return list(range(base, base + count))


def settings(names: Mapping[str, int]) -> dict[str, str]:
    """What every role of the rig is told. `names`: a port for each of web, overlay and simulator at least."""
    made = data_directory.new_secrets()
    return {
        "HAWKER_SECRET_KEY": made["secret_key"],
        "HAWKER_STRIPE_SECRET_KEY": made["stripe_secret_key"],
        "HAWKER_STRIPE_PUBLISHABLE_KEY": made["stripe_publishable_key"],
        "HAWKER_STRIPE_WEBHOOK_SECRET": made["stripe_webhook_secret"],
        "HAWKER_STRIPE_API_URL": f"http://127.0.0.1:{names['simulator']}",
        "HAWKER_WEB_PORT": str(names.get("web", 8400)),
        "HAWKER_PUBLIC_URL": f"http://127.0.0.1:{names.get('web', 8400)}",
        "HAWKER_OVERLAY_PUBLIC_URL": f"ws://127.0.0.1:{names.get('overlay', 8401)}",
        "HAWKER_SIMULATOR_PORT": str(names["simulator"]),
        "HAWKER_LOG_LEVEL": "warning",
        "HAWKER_DEMO": "yes",
    }


@asynccontextmanager
async def opened(directory: Path, ports: Mapping[str, int], *, aloud: bool = False) -> AsyncIterator[Rig]:
    """Stores running, schema up to date; nothing else yet. Everything is stopped on the way out."""
    keys = settings(ports)
    async with box.opened(directory, lambda _: keys, Told(aloud)) as home:
        yield Rig(home, ports, keys)


# People who can pay


async def give_cards(rig: Rig, shop: BenchShop, methods: Sequence[Sequence[str]]) -> None:
    """Each buyer's cards: one for each of Stripe's test names in `methods`, the first is the default.

    Writes the simulator's file, so before it starts.
    """
    ledger = Ledger(rig.box.directory.path / "simulator.sqlite3")
    rows: list[tuple[str, str, list[Obj]]] = []
    try:
        with ledger.transaction():
            for user_id, names in zip(shop.buyers, methods, strict=True):
                rows.append((user_id, *_customer(ledger, user_id, names)))
    finally:
        ledger.close()
    connection = await asyncpg.connect(rig.database_url)
    try:
        await _save(connection, rows)
    finally:
        await connection.close()


def _customer(ledger: Ledger, user_id: str, names: Sequence[str]) -> tuple[str, list[Obj]]:
    call = Call(ledger, int(time.time()), "/v1/customers", False, None, lambda event: None)
    customer = saving.create_customer(
        call, {"email": f"{user_id}@example.com", "metadata": {"user": user_id}}
    )
    return customer["id"], [
        saving.attach(call, saving.payment_method_of(call, name), customer["id"]) for name in names
    ]


async def _save(
    connection: asyncpg.Connection[asyncpg.Record], rows: list[tuple[str, str, list[Obj]]]
) -> None:
    users = [user_id for user_id, _, _ in rows]
    await connection.execute("DELETE FROM cards WHERE user_id = ANY($1::uuid[])", users)
    await connection.execute(
        "UPDATE payment_customers p SET customer_ref = n.ref"
        " FROM unnest($1::uuid[], $2::text[]) AS n (id, ref) WHERE p.user_id = n.id",
        users,
        [customer for _, customer, _ in rows],
    )
    cards = [
        (user_id, method["id"], method["card"]["last4"], number == 0)
        for user_id, _, methods in rows
        for number, method in enumerate(methods)
    ]
    await connection.execute(
        "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year, is_default)"
        " SELECT gen_random_uuid(), u, m, 'visa', l, 12, 2034, d"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[]) AS c (u, m, l, d)",
        *map(list, zip(*cards, strict=True)),
    )


async def sign_in(database_url: str, users: Sequence[str]) -> dict[str, str]:
    """A session for each user, written as a row; the cookie's value by user."""
    tokens = {user_id: new_token() for user_id in users}
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO sessions (id, user_id, token_sha256, expires_at)"
            " SELECT gen_random_uuid(), u, t, now() + interval '1 day'"
            " FROM unnest($1::uuid[], $2::bytea[]) AS s (u, t)",
            list(tokens),
            [hashlib.sha256(token.encode()).digest() for token in tokens.values()],
        )
    finally:
        await connection.close()
    return tokens


async def make_owner(database_url: str, shop: BenchShop) -> tuple[str, str]:
    """A person of the shop's, who may refund: user id and cookie."""
    user_id = shop.buyers[-1]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO memberships (shop_id, user_id, role) VALUES ($1, $2, 'owner')", shop.shop_id, user_id
        )
    finally:
        await connection.close()
    return user_id, (await sign_in(database_url, [user_id]))[user_id]
