"""Every setting of Hawker: one table, read from `HAWKER_*` variables.

The fields of `Settings` are that table: name, type, default, meaning and who needs it. deploy/settings.md is
written from it (`python -m server.config`), and `load` reports everything that is wrong at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from server.embedded.errors import StartError

PREFIX = "HAWKER_"
ROLES = ("web", "overlay", "stream", "worker", "simulator")
SHOP_ROLES = frozenset({"web", "overlay", "worker"})
EVERY_ROLE = frozenset({*SHOP_ROLES, "stream"})
NO_ROLE: frozenset[str] = frozenset()
SECRET_MIN_CHARS = 32
_WEAK = ("change", "secret", "hawker", "password", "example", "default", "placeholder")
_LIVE_KEYS = ("sk_live_", "rk_live_", "pk_live_")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable, and what to do."""

    variable: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.problem} {self.remedy}"


class SettingsError(StartError):
    """The settings as a whole can't be used; `problems` names every variable at fault."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            "settings_invalid", f"The settings can't be used:\n{listed}\n", "See deploy/settings.md."
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class IceServer:
    """One entry of a browser's `RTCConfiguration.iceServers`."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = dataclasses.field(default="", repr=False)


def _text(raw: str) -> str:
    return raw.strip()


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        value = int(raw)
        if not low <= value <= high:
            raise ValueError(f"not between {low} and {high}")
        return value

    return parse


_port = _whole(1, 65535)
_count = _whole(1, 10_000_000_000)


def _yes_or_no(raw: str) -> bool:
    word = raw.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("neither yes nor no")


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        word = raw.strip().lower()
        if word not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return word

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        value = raw.strip().rstrip("/")
        if value and urlsplit(value).scheme not in schemes:
            raise ValueError("not a URL that starts with " + " or ".join(f"{s}://" for s in schemes))
        return value

    return parse


def _words(raw: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def _origins(raw: str) -> tuple[str, ...]:
    return tuple(_url("http", "https")(word) for word in _words(raw))


def _networks(raw: str) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(word)) for word in _words(raw))


def _announced(raw: str) -> tuple[tuple[str, int], ...]:
    """`203.0.113.7`, `203.0.113.7:3478` or `[2001:db8::1]:3478`, separated by commas. Without a port: 0."""
    found = []
    for word in _words(raw):
        parts = urlsplit(f"//{word}" if word.count(":") < 2 or word.startswith("[") else f"//[{word}]")
        if parts.port == 0:
            raise ValueError(f"{word} has port 0")
        found.append((str(ipaddress.ip_address(parts.hostname or "")), parts.port or 0))
    return tuple(found)


def _ice_servers(raw: str) -> tuple[IceServer, ...]:
    """A JSON array as a browser takes it, or plain URLs separated by commas."""
    if not raw.lstrip().startswith("["):
        return tuple(IceServer((url,)) for url in _words(raw))
    servers = []
    for entry in json.loads(raw):
        urls = entry["urls"]
        urls = (urls,) if isinstance(urls, str) else tuple(urls)
        servers.append(IceServer(urls, entry.get("username", ""), entry.get("credential", "")))
    return tuple(servers)


def _setting(
    meaning: str,
    *,
    default: Any = "",
    parse: Callable[[str], Any] = _text,
    needed_by: frozenset[str] = NO_ROLE,
    secret: bool = False,
    shown_default: str | None = None,
) -> Any:
    """One row of the table; `needed_by` names the roles that won't start without a value."""
    factory = default if callable(default) else lambda: default
    return dataclasses.field(
        default_factory=factory,
        metadata={
            "meaning": meaning,
            "parse": parse,
            "needed_by": needed_by,
            "secret": secret,
            "shown_default": shown_default,
        },
    )


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Settings:
    """What a role is told. Secret values never show in `repr`."""

    # stores
    database_url: str = _setting(
        "PostgreSQL (15 or newer): `postgresql://user:password@host:5432/hawker`; by a unix socket "
        "`postgresql://user@/hawker?host=/run/postgresql`.",
        parse=_url("postgresql", "postgres"),
        needed_by=SHOP_ROLES,
        secret=True,
    )
    redis_url: str = _setting(
        "Valkey (8 or newer) or Redis (7 or newer): `redis://`, `rediss://`, or `unix:///path?db=0`.",
        parse=_url("redis", "rediss", "unix"),
        needed_by=EVERY_ROLE,
        secret=True,
    )
    data_dir: Path = _setting(  # noqa: RUF009 - it makes a field
        "Where files are kept that belong to neither store.",
        default=Path("data"),
        parse=lambda raw: Path(raw).expanduser(),
        shown_default="data",
    )
    backup_dir: str = _setting(
        "Where the embedded PostgreSQL archives its WAL and `hawker backup` puts copies, on another disk "
        "(deploy/backup.md). Empty: no archive.",
    )
    media_store_url: str = _setting(
        "Where product images and recordings are kept: `file:///path` or `s3://bucket/prefix` (credentials "
        "from the usual AWS variables). Empty: `media` below HAWKER_DATA_DIR.",
        parse=_url("file", "s3"),
    )
    database_pool: int = _setting("Most PostgreSQL connections a process opens.", default=8, parse=_count)
    redis_pool: int = _setting("Most Valkey connections a process opens.", default=16, parse=_count)

    # addresses
    web_host: str = _setting("Address the web role listens on.", default="127.0.0.1")
    web_port: int = _setting("Port of the pages and the API.", default=8400, parse=_port)
    overlay_host: str = _setting("Address the overlay role listens on.", default="127.0.0.1")
    overlay_port: int = _setting("Port of the live room's websockets.", default=8401, parse=_port)
    stream_http_host: str = _setting(
        "Address the stream role's WHIP and WHEP listen on.", default="127.0.0.1"
    )
    stream_http_port: int = _setting("Port of WHIP and WHEP.", default=8402, parse=_port)
    stream_udp_host: str = _setting("Address the one media port binds.", default="127.0.0.1")
    stream_udp_port: int = _setting(
        "The one UDP (and TCP) port of all peers' media.", default=8403, parse=_port
    )
    stream_announced: tuple[tuple[str, int], ...] = _setting(
        "Addresses that peers are told to send media to, `ip` or `ip:port`, separated by commas: behind NAT "
        "or in a container the public address. Empty: the address the port is bound to.",
        default=(),
        parse=_announced,
    )
    worker_host: str = _setting("Address of the worker's health and metrics.", default="127.0.0.1")
    worker_port: int = _setting("Port of the worker's health and metrics.", default=8405, parse=_port)
    simulator_host: str = _setting("Address the payment simulator listens on.", default="127.0.0.1")
    simulator_port: int = _setting("Port of the payment simulator.", default=8404, parse=_port)
    public_url: str = _setting(
        "Where people reach the web role, as they type it.",
        default="http://127.0.0.1:8400",
        parse=_url("http", "https"),
    )
    overlay_public_url: str = _setting(
        "Where browsers reach the overlay role: `wss://` in production.",
        default="ws://127.0.0.1:8401",
        parse=_url("ws", "wss"),
    )
    stream_public_url: str = _setting(
        "Where WHIP and WHEP clients reach the stream role.",
        default="http://127.0.0.1:8402",
        parse=_url("http", "https"),
    )
    stream_node_url: str = _setting(
        "Where other stream processes reach this one's WHEP, to pull what it has. Empty: "
        "HAWKER_STREAM_PUBLIC_URL.",
        parse=_url("http", "https"),
    )
    stream_origins: tuple[str, ...] = _setting(
        "Origins of all stream processes that browsers may be sent to, separated by commas, where there are "
        "others than HAWKER_STREAM_PUBLIC_URL's: `https://media-2.example`, `https://*.media.example`. Pages "
        "may connect to these.",
        default=(),
        parse=_origins,
    )
    stream_nodes: int = _setting(
        "How many stream processes `hawker up` runs; further ones take ports of their own from "
        "HAWKER_STREAM_NODE_PORTS on, and are reached at HAWKER_STREAM_PUBLIC_URL's host by these. 0: one a "
        "core where browsers reach them directly, one where HAWKER_STREAM_PUBLIC_URL is a proxy's.",
        default=0,
        parse=_whole(0, 128),
    )
    stream_node_ports: int = _setting(
        "First of the ports of `hawker up`'s further stream processes, two each: WHIP and WHEP, media.",
        default=8410,
        parse=_port,
    )
    stream_drain_s: int = _setting(
        "Longest time in seconds that a stream process which is told to stop goes on for those who haven't "
        "moved to another.",
        default=30,
        parse=_whole(0, 3600),
    )
    region: str = _setting(
        "Where this process is. A web process sends viewers to stream processes of its own region first.",
    )
    ice_servers: tuple[IceServer, ...] = _setting(
        "STUN and TURN servers that browsers are told: URLs separated by commas, or a JSON array of "
        "`{urls, username, credential}`. The relay needs none of them itself.",
        default=(),
        parse=_ice_servers,
        secret=True,
    )
    node_id: str = _setting(
        "Name of this process in the registry; one of its own for each stream and overlay process.",
        default=socket.gethostname,
        shown_default="the host's name",
    )
    allowed_origins: tuple[str, ...] = _setting(
        "Other origins whose pages may open the websocket and embed shows, separated by commas.",
        default=(),
        parse=_origins,
    )
    trusted_proxies: tuple[str, ...] = _setting(
        "Addresses or networks of reverse proxies whose `X-Forwarded-*` headers are believed.",
        default=(),
        parse=_networks,
    )

    # secrets and payments
    secret_key: str = _setting(
        f"Signs sessions and tickets; at least {SECRET_MIN_CHARS} characters nobody can guess, the same for "
        "all roles: `python -c 'import secrets; print(secrets.token_urlsafe(48))'`.",
        needed_by=EVERY_ROLE,
        secret=True,
    )
    stripe_secret_key: str = _setting(
        "Stripe's secret key, `sk_live_…` (or `sk_test_…`).", needed_by=SHOP_ROLES, secret=True
    )
    stripe_publishable_key: str = _setting(
        "Stripe's publishable key, `pk_live_…` (or `pk_test_…`).", needed_by=SHOP_ROLES
    )
    stripe_webhook_secret: str = _setting(
        "Signs Stripe's webhooks to `/api/stripe/webhook`, `whsec_…`.", needed_by=SHOP_ROLES, secret=True
    )
    stripe_api_url: str = _setting(
        "Another server that speaks Stripe's API, such as the payment simulator. Empty: Stripe itself.",
        parse=_url("http", "https"),
    )
    stripe_per_s: int = _setting(
        "Most requests a second that all processes together send to Stripe, which allows 100 in live mode "
        "and 25 in test mode. Leave something for what else uses the account.",
        default=0,
        parse=_whole(0, 10_000),
        shown_default="80 with live keys, 20 with test keys",
    )
    demo: bool = _setting(
        "Demo payments and a sample shop, with a banner that says so. A live Stripe key is refused.",
        default=False,
        parse=_yes_or_no,
        shown_default="no",
    )

    # mail
    smtp_url: str = _setting(
        "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. Empty: mail is written as files to "
        "`mail` below HAWKER_DATA_DIR.",
        parse=_url("smtp", "smtps"),
        secret=True,
    )
    mail_from: str = _setting("Sender of all mail.", default="Hawker <shop@localhost>")

    # logs
    log_format: str = _setting("`json`, or `text` for people.", default="json", parse=_one_of("json", "text"))
    log_level: str = _setting(
        "`debug`, `info`, `warning` or `error`.",
        default="info",
        parse=_one_of("debug", "info", "warning", "error"),
    )

    # limits
    limit_upload_bytes: int = _setting("Largest upload.", default=10_000_000, parse=_count)
    limit_image_pixels: int = _setting("Most pixels of an image.", default=40_000_000, parse=_count)
    limit_sockets: int = _setting("Most websockets an overlay process holds.", default=20_000, parse=_count)
    limit_viewers: int = _setting("Most viewers a stream process serves.", default=2_000, parse=_count)

    def __repr__(self) -> str:
        shown = (
            f"{row.name}=***"
            if row.metadata["secret"] and getattr(self, row.name)
            else f"{row.name}={getattr(self, row.name)!r}"
            for row in dataclasses.fields(self)
        )
        return f"Settings({', '.join(shown)})"


def variable(field_name: str) -> str:
    """The environment variable of a field: `database_url` → `HAWKER_DATABASE_URL`."""
    return PREFIX + field_name.upper()


def load(environ: Mapping[str, str], role: str | None = None) -> Settings:
    """Settings for one role (None: for tools that need nothing in particular). Raises SettingsError."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for row in dataclasses.fields(Settings):
        raw = environ.get(variable(row.name), "")
        if not raw.strip():
            continue
        try:
            values[row.name] = row.metadata["parse"](raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(_unreadable(row, raw, error))
    settings = Settings(**values)
    at_fault = {problem.variable for problem in problems}
    found = (*_missing(settings, role), *_unsafe(settings, role))
    problems += [problem for problem in found if problem.variable not in at_fault]
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """`HAWKER_*` variables that no setting has, each with the name that was probably meant (or "")."""
    known = [variable(row.name) for row in dataclasses.fields(Settings)]
    strange = [name for name in environ if name.startswith(PREFIX) and name not in known]
    return {name: next(iter(difflib.get_close_matches(name, known, 1)), "") for name in strange}


def _unreadable(row: dataclasses.Field[Any], raw: str, error: Exception) -> Problem:
    shown = "its value" if row.metadata["secret"] else repr(raw)
    reason = f" ({error})" if isinstance(error, ValueError) and not row.metadata["secret"] else ""
    return Problem(variable(row.name), f"{shown} can't be read{reason}.", row.metadata["meaning"])


def _missing(settings: Settings, role: str | None) -> list[Problem]:
    return [
        Problem(variable(row.name), f"needed by the {role} role and not set.", row.metadata["meaning"])
        for row in dataclasses.fields(settings)
        if role in row.metadata["needed_by"] and not getattr(settings, row.name)
    ]


def _unsafe(settings: Settings, role: str | None) -> list[Problem]:
    problems = []
    key = settings.secret_key
    if role in EVERY_ROLE and key and not settings.demo:
        if len(key) < SECRET_MIN_CHARS or len(set(key)) < 10:
            problems.append(_weak_secret(f"shorter or simpler than {SECRET_MIN_CHARS} random characters."))
        elif any(word in key.lower() for word in _WEAK):
            problems.append(_weak_secret("a default or an example, known to everyone."))
    stripe_keys = ("stripe_secret_key", "stripe_publishable_key")
    live = [name for name in stripe_keys if getattr(settings, name).startswith(_LIVE_KEYS)]
    named = {name: getattr(settings, name) for name in stripe_keys if getattr(settings, name)}
    if len(named) == 2 and len(live) == 1:
        problems.append(
            Problem(
                variable("stripe_publishable_key"),
                "one Stripe key is live, the other is not.",
                "Take both from the same page of Stripe's dashboard, in the same mode.",
            )
        )
    if settings.demo:
        problems += [
            Problem(variable(name), "a live Stripe key in a demo.", "Unset it, or set HAWKER_DEMO=no.")
            for name in live
        ]
    elif settings.stripe_api_url:
        problems += [
            Problem(
                variable(name),
                "a live Stripe key would be sent to HAWKER_STRIPE_API_URL.",
                "Unset HAWKER_STRIPE_API_URL, or use a test key.",
            )
            for name in live
        ]
    return problems


def _weak_secret(problem: str) -> Problem:
    return Problem(
        variable("secret_key"),
        problem,
        "Make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'.",
    )


def markdown() -> str:
    """deploy/settings.md: every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Written from the table in `server/config.py` by `python -m server.config > deploy/settings.md`.",
        "Settings are environment variables. A role refuses to start while one it needs is missing or",
        "unsafe, and then names all that are. Values marked *secret* never show in logs.",
        "",
        "| variable | default | needed by | meaning |",
        "|---|---|---|---|",
    ]
    lines += [_markdown_row(row) for row in dataclasses.fields(Settings)]
    return "\n".join(lines) + "\n"


def _markdown_row(row: dataclasses.Field[Any]) -> str:
    meta = row.metadata
    default = meta["shown_default"]
    if default is None:
        assert callable(row.default_factory)
        default = row.default_factory()
    needed = ", ".join(role for role in ROLES if role in meta["needed_by"])
    secret = " *secret*" if meta["secret"] else ""
    shown = f"`{default}`" if default not in ("", ()) else ""
    return f"| `{variable(row.name)}` | {shown} | {needed} | {meta['meaning']}{secret} |"


if __name__ == "__main__":
    print(markdown(), end="")
