"""The simulator's state on disk: objects, stored answers and webhooks waiting to be sent, in one SQLite file.

One request is one transaction, synced before its answer leaves: an acknowledged write survives SIGKILL and a
power cut; a request's effects, its stored answer and its webhooks appear together or not at all. Objects are
JSON rows, read when needed: memory stays flat, a restart costs nothing. The file is locked by its process.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Obj = dict[str, Any]

EVENTS_KEPT_S = 30 * 86_400
KEYS_KEPT_S = 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_intent ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_charge ON objects (kind, json_extract(body, '$.charge'));
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, created REAL NOT NULL,
    status INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS answers_created ON answers (created);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, body TEXT NOT NULL, due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StateUnusable(Exception):
    """The state file can't be used; `code` is state_in_use or state_unreadable."""

    def __init__(self, code: str, path: Path, why: str) -> None:
        super().__init__(f"{code}: {path}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer stored under an idempotency key."""

    fingerprint: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook waiting: the event's JSON, and how often it has been tried."""

    id: int
    event: str
    body: str
    attempts: int


def new_id(prefix: str) -> str:
    """An id in Stripe's manner: `pi_` and 24 letters and digits."""
    return prefix + "_" + secrets.token_hex(12)


class Ledger:
    """One SQLite file, used from one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._db.executescript(
                "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "PRAGMA journal_size_limit=4194304; BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;"
            )
        except sqlite3.DatabaseError as error:
            self._db.close()
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            code = "state_in_use" if busy else "state_unreadable"
            raise StateUnusable(code, path, str(error)) from None

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator["Savepoint"]:
        """All or nothing, synced to disk on leaving. The savepoint undoes a failed request alone."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield Savepoint(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # Objects. A name that starts with an underscore is ours and never leaves.

    def put(self, obj: Obj) -> Obj:
        """Insert or replace by id; the place in lists stays that of the first insert."""
        self._db.execute(
            "INSERT INTO objects (id, kind, created, body) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (obj["id"], obj["object"], obj.get("created", 0), json.dumps(obj, separators=(",", ":"))),
        )
        return obj

    def get(self, kind: str, object_id: str) -> Obj | None:
        """The object, or None."""
        row = self._db.execute(
            "SELECT body FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def lookup(self, object_id: str) -> Obj | None:
        """The object with this id, of whatever kind."""
        row = self._db.execute("SELECT body FROM objects WHERE id = ?", (object_id,)).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, object_id: str) -> None:
        """Forget an object."""
        self._db.execute("DELETE FROM objects WHERE id = ?", (object_id,))

    def find(
        self,
        kind: str,
        match: Mapping[str, Any] | None = None,
        created: Mapping[str, int] | None = None,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = -1,
    ) -> list[Obj]:
        """Newest first. `match`: top-level fields (a list: any of); `after`, `before`: ids as cursors."""
        where: list[str] = ["kind = ?"]
        values: list[Any] = [kind]
        for field, wanted in (match or {}).items():
            options: Sequence[Any] = wanted if isinstance(wanted, list) else [wanted]
            where.append(f"json_extract(body, '$.{field}') IN ({', '.join('?' * len(options))})")
            values += options
        for bound, at in (created or {}).items():
            where.append(f"created {_COMPARE[bound]} ?")
            values.append(at)
        for cursor, sign in ((after, "<"), (before, ">")):
            if cursor:
                where.append(f"seq {sign} (SELECT seq FROM objects WHERE id = ?)")
                values.append(cursor)
        order = "ASC" if before else "DESC"
        sql = f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT {limit}"
        found = [json.loads(row[0]) for row in self._db.execute(sql, values)]
        return found[::-1] if before else found

    def total(self, kind: str, field: str, currency: str) -> int:
        """The sum of a number over all objects of a kind and currency, failed ones left out."""
        row = self._db.execute(
            f"SELECT coalesce(sum(json_extract(body, '$.{field}')), 0) FROM objects "
            "WHERE kind = ? AND json_extract(body, '$.currency') = ? "
            "AND coalesce(json_extract(body, '$.status'), '') != 'failed'",
            (kind, currency),
        ).fetchone()
        return int(row[0])

    # Idempotency

    def answer(self, key: str, now: float) -> Answer | None:
        """What was answered under this key in the last 24 hours."""
        row = self._db.execute(
            "SELECT fingerprint, status, body FROM answers WHERE key = ? AND created > ?",
            (key, now - KEYS_KEPT_S),
        ).fetchone()
        return Answer(*row) if row else None

    def keep_answer(self, key: str, answer: Answer, now: float) -> None:
        """Store an answer under its key; one past its 24 hours is replaced."""
        self._db.execute(
            "INSERT OR REPLACE INTO answers (key, fingerprint, status, body, created) VALUES (?, ?, ?, ?, ?)",
            (key, answer.fingerprint, answer.status, answer.body, now),
        )

    def prune(self, now: float) -> None:
        """Drop keys after 24 hours and events after 30 days."""
        with self.transaction():
            self._db.execute("DELETE FROM answers WHERE created <= ?", (now - KEYS_KEPT_S,))
            self._db.execute(
                "DELETE FROM objects WHERE kind = 'event' AND created < ?", (now - EVENTS_KEPT_S,)
            )

    # Webhooks

    def enqueue(self, event: Obj, due: float, *, at_most: int) -> None:
        """Queue a webhook. Past `at_most` the oldest is dropped: the event list still has it, for 30 days."""
        self._db.execute(
            "INSERT INTO deliveries (event, body, due) VALUES (?, ?, ?)",
            (event["id"], json.dumps(event), due),
        )
        self._db.execute(
            "DELETE FROM deliveries WHERE id <= (SELECT max(id) - ? FROM deliveries)", (at_most,)
        )

    def due(self, now: float, limit: int) -> list[Delivery]:
        """What should be sent by now, oldest due first."""
        rows = self._db.execute(
            "SELECT id, event, body, attempts FROM deliveries WHERE due <= ? ORDER BY due, id LIMIT ?",
            (now, limit),
        )
        return [Delivery(*row) for row in rows]

    def next_due(self) -> float | None:
        """When the next webhook is due, or None."""
        row = self._db.execute("SELECT min(due) FROM deliveries").fetchone()
        return float(row[0]) if row[0] is not None else None

    def waiting(self) -> int:
        """How many webhooks wait."""
        return int(self._db.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    def postpone(self, delivery: int, due: float) -> None:
        """Try again at `due`."""
        self._db.execute(
            "UPDATE deliveries SET due = ?, attempts = attempts + 1 WHERE id = ?", (due, delivery)
        )

    def delivered(self, delivery: int) -> None:
        """Done with, one way or the other."""
        self._db.execute("DELETE FROM deliveries WHERE id = ?", (delivery,))

    # Settings that outlive the process

    def setting(self, name: str, default: str) -> str:
        """A stored setting."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        self._db.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))


_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Savepoint:
    """A mark inside a transaction to go back to."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("SAVEPOINT request")

    def undo(self) -> None:
        """Take back everything since the mark."""
        self._db.execute("ROLLBACK TO request")
