"""Who may do what in a room, and how often. Pure: `now_ms` comes in, a Refusal goes out.

The permission table is the whole truth about roles in the room; `welcome` sends each connection its row.
Rates are token buckets: `burst` at once, then refilled evenly over `over_s`; a refusal always says when
to try again.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from dataclasses import dataclass

from overlay.messages import Snapshot
from overlay.ports import Actor, Refusal
from overlay.room import muted_until

VIEWER = frozenset({"say", "react", "buy", "join_waitlist", "leave_waitlist", "bid", "retract_bid"})
MODERATOR = VIEWER | {"delete_comment", "mute", "unmute"}
AUCTIONEER = frozenset({"announce_auction", "open_auction", "cancel_auction"})
HOST = VIEWER | AUCTIONEER | {"pin", "unpin", "start_show", "end_show", "delete_comment", "mute"}
SELLER = frozenset({"set_stock", "set_price", "start_flash", "end_flash", "schedule_drop", "cancel_drop"})
EVERYTHING = HOST | MODERATOR | SELLER

MAY: dict[str, frozenset[str]] = {
    "moderator": MODERATOR,
    "host": HOST,
    "producer": EVERYTHING,
    "owner": EVERYTHING,
}
RANK = {"moderator": 1, "host": 2, "producer": 3, "owner": 4}


def may(actor: Actor) -> frozenset[str]:
    """The command types this person may send: none for guests."""
    if actor.user_id is None:
        return frozenset()
    return VIEWER.union(*(MAY.get(role, VIEWER) for role in actor.roles))


def badge(actor: Actor) -> str | None:
    """The highest role, as comments show it."""
    return max(actor.roles & RANK.keys(), key=RANK.__getitem__, default=None)


def permit(actor: Actor, command: str) -> None:
    """Raises Refusal `not_signed_in` or `not_allowed`."""
    if actor.user_id is None:
        raise Refusal("not_signed_in", "Sign in to take part.")
    if command not in may(actor):
        raise Refusal("not_allowed", f"Your role does not include {command.replace('_', ' ')}.")


def permit_mute(actor: Actor, user_id: str, target_badge: str | None) -> None:
    """Staff are muted only by those above them, nobody by themselves. Raises Refusal `not_allowed`."""
    if user_id == actor.user_id:
        raise Refusal("not_allowed", "You cannot mute yourself.")
    if target_badge is not None and RANK[target_badge] >= RANK.get(badge(actor) or "", 0):
        raise Refusal("not_allowed", f"A {target_badge} can only be muted by someone above them.")


def permit_words(state: Snapshot, actor: Actor, now_ms: int) -> None:
    """Raises Refusal `muted`. Hosts and above are never silenced in their own show."""
    if actor.user_id is None or RANK.get(badge(actor) or "", 0) >= RANK["host"]:
        return
    until_ms = muted_until(state, actor.user_id, now_ms)
    if until_ms is None:
        raise Refusal("muted", "A moderator has muted you in this show.")
    if until_ms:
        left_ms = until_ms - now_ms
        raise Refusal("muted", "A moderator has muted you for a while.", retry_after_ms=left_ms)


def cleaned(text: str) -> str:
    """A comment's text on one line: no control characters, nor marks that turn the text around it."""
    kept = (char if unicodedata.category(char) != "Cc" else " " for char in text if char not in _TURNING)
    return " ".join("".join(kept).split())


_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


# --- rates ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    burst: int
    over_s: float


RATES: dict[str, Rate] = {
    "say": Rate(burst=5, over_s=10),
    "react": Rate(burst=20, over_s=10),
    "buy": Rate(burst=10, over_s=10),
}
STAFF_RATE = Rate(burst=40, over_s=10)
REFUSED_RATE = Rate(burst=60, over_s=30)
"""Refused commands a connection may collect before it is closed."""

WORDS = {"say": "comments", "react": "reactions", "buy": "taps"}


@dataclass(frozen=True, slots=True)
class Bucket:
    tokens: float
    at_ms: int


def take(rate: Rate, bucket: Bucket | None, now_ms: int) -> tuple[Bucket, int]:
    """The bucket after one take, and 0; or the bucket as it is, and the ms until a take will succeed."""
    if bucket is None:
        bucket = Bucket(rate.burst, now_ms)
    per_ms = rate.burst / (rate.over_s * 1000)
    tokens = min(rate.burst, bucket.tokens + max(0, now_ms - bucket.at_ms) * per_ms)
    if tokens < 1:
        return Bucket(tokens, now_ms), int((1 - tokens) / per_ms) + 1
    return Bucket(tokens - 1, now_ms), 0


class Meter:
    """Rates by person and kind. Bounded: past `size` the longest unused bucket is forgotten, which only helps
    a person who has been quiet while that many others were not."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def take(self, person: str, kind: str, now_ms: int) -> None:
        """Raises Refusal `rate_limited`."""
        rate, key = RATES.get(kind, STAFF_RATE), (person, kind)
        self._buckets[key], retry_after_ms = take(rate, self._buckets.get(key), now_ms)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        if retry_after_ms:
            what, wait_s = WORDS.get(kind, "commands"), -(-retry_after_ms // 1000)
            reason = f"Too many {what} at once. Try again in {wait_s} s."
            raise Refusal("rate_limited", reason, retry_after_ms=retry_after_ms)
