"""What the demo's start and the child that fills the sample shop (`hawker demo-seed`) hand each other.

In: the settings, and the sign-ins in DATA_DIR/demo.json, made once. Out: a line of JSON on stdout, `Seeded`.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import msgspec

FILE = "demo.json"
ROLES = ("owner", "host", "producer", "moderator", "viewer")
_WORDS = (
    "amber",
    "birch",
    "cedar",
    "coral",
    "delta",
    "ember",
    "fjord",
    "grove",
    "hazel",
    "indigo",
    "juniper",
    "kelp",
    "lunar",
    "maple",
    "opal",
)


class SignIn(msgspec.Struct, frozen=True):
    """One demo account."""

    email: str
    password: str


class Accounts(msgspec.Struct, frozen=True):
    """The demo's accounts, one for each part that a person can play."""

    owner: SignIn
    host: SignIn
    producer: SignIn
    moderator: SignIn
    viewer: SignIn


class WhipTarget(msgspec.Struct, frozen=True):
    """Where to publish, and the stream key to do it with. The key is good until the next start.

    `whep_url` plays what is published, `show_id` is the show it belongs to.
    """

    url: str
    token: str
    show_id: str = ""
    whep_url: str = ""


class Seeded(msgspec.Struct, frozen=True):
    """The sample shop is there. `programme` is the show that goes on air by itself, `whip` a second one.

    `show_id`, `viewer_url`, `studio_url`, `console_url` and `whep_url` are of the show on air.
    """

    show_id: str
    viewer_url: str
    studio_url: str
    console_url: str
    whep_url: str
    whip: WhipTarget
    programme: WhipTarget


def new_sign_ins() -> dict[str, Any]:
    """Random passwords that a person can still type: about 60 bits each."""
    return {
        "accounts": {role: {"email": f"{role}@demo.example", "password": _new_password()} for role in ROLES}
    }


def _new_password() -> str:
    return "-".join(
        [secrets.choice(_WORDS), secrets.choice(_WORDS), secrets.token_hex(3), secrets.token_hex(4)]
    )


def read_accounts(data_dir: Path) -> Accounts:
    """The sign-ins kept in the data directory."""
    document = msgspec.json.decode((data_dir / FILE).read_bytes(), type=dict[str, Any])
    return msgspec.convert(document["accounts"], Accounts)
