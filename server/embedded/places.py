"""Where a store's files may lie, and as whom it runs.

PostgreSQL refuses root, so under root it runs as another user, who must be able to walk to its binaries and
its data. A clone below a 0700 home bars the way; nothing is chmodded for that: binaries are copied and data
is kept below /var/lib/hawker, with a link to it where it was expected.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
from pathlib import Path

from server.embedded.child import Account
from server.embedded.errors import StartError

_RELOCATED = Path("/var/lib/hawker")
_SOCKET_PATH_MAX = 107  # sun_path is 108 bytes with its NUL, unix(7)


def unprivileged_account(owned: Path) -> Account | None:
    """Whom to run as: None for ourselves; under root the owner of `owned`, else `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return None
    if owned.exists() and (uid := owned.stat().st_uid) != 0:
        return Account(str(uid), uid, owned.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise StartError(
        "no_unprivileged_user",
        "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody'.",
        "Create one, run as another user, or set HAWKER_DATABASE_URL to a PostgreSQL of yours.",
    )


def can_enter(directory: Path, account: Account) -> bool:
    """Whether `account` may walk down to and into `directory` by its mode bits."""
    return all(_may(step, account, 0o1) for step in (directory, *directory.parents))


def _may(path: Path, account: Account, bit: int) -> bool:
    info = path.stat()
    if info.st_uid == account.uid:
        return bool(info.st_mode & (bit << 6))
    if info.st_gid == account.gid:
        return bool(info.st_mode & (bit << 3))
    return bool(info.st_mode & bit)


def own_directory(path: Path, account: Account | None, relocated: Path = _RELOCATED) -> Path:
    """A 0700 directory of the account's at `path`, or, where it can't get there, one that `path` links to."""
    if account is not None and not can_enter(_existing(path.resolve().parent), account):
        if path.exists():
            raise _unreachable(path.resolve())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a link whose target is gone
        path.symlink_to(_open_directory(relocated) / f"{path.name}-{secrets.token_hex(4)}")
    target = path.resolve()
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    if account is not None:
        os.chown(target, account.uid, account.gid)
    target.chmod(0o700)
    return target


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _open_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
        path.chmod(0o711)
    except OSError as error:
        raise _unreachable(path) from error
    return path


def _unreachable(path: Path) -> StartError:
    return StartError(
        "data_unreachable",
        f"The user that PostgreSQL runs as can't reach or have {path}.",
        "Choose a data directory below one that others may enter (mode 0711), or don't run as root.",
    )


def socket_directory(wanted: Path, name: str, account: Account | None) -> Path:
    """A 0700 directory whose sockets' paths are short enough: `wanted`, or one in /tmp named after it."""
    if len(os.fsencode(wanted / name)) <= _SOCKET_PATH_MAX:
        return own_directory(wanted, account)
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    short = Path("/tmp") / f"hawker-{digest}"  # noqa: S108 - its owner and mode are checked below
    short.mkdir(mode=0o700, exist_ok=True)
    info = short.lstat()
    uid = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {uid, os.geteuid()}:
        raise StartError(
            "socket_directory_taken",
            f"{short}, needed since the data directory's path is too long for a socket, isn't ours.",
            "Remove it, or choose a data directory with a shorter path.",
        )
    return own_directory(short, account)


def package_directory(package: str, remedy_variable: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(
            "embedded_store_missing",
            f"The package {package} is not installed.",
            f"Install hawker[embedded], or set {remedy_variable} to a server of yours.",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def reachable_binaries(site: Path, parts: tuple[str, ...], account: Account | None, version: str) -> Path:
    """`site` itself, or a copy of its `parts` where the account can run them."""
    if account is None or can_enter((site / parts[0]).resolve(), account):
        return site
    copy = _open_directory(_RELOCATED) / f"binaries-{version}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        for part in parts:
            shutil.copytree(site / part, partial / part)
        for directory in (partial, *(p for p in partial.rglob("*") if p.is_dir())):
            directory.chmod(0o755)
        if copy.exists():
            shutil.rmtree(partial)
        else:
            partial.rename(copy)
    return copy
