"""An auction under its row lock: caught up with its book, decided, written.

The row lock is the one place where bids race, whichever process took them: who has it reads what others have
written since, decides in plain Python (shop.auction) by this database's clock, and writes lines and standing
in one statement. A process keeps the auctions it knows folded; one whose write failed is read anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from overlay.selling import AuctionState, BidView, StandingState, StandingView
from server.shop.auction import Auction
from server.shop.auction_alias import alias
from server.shop.auction_book import Line, Terms
from server.store.database import Database
from server.store.pool import Connection, Pool
from server.store.sql import statement

_LOCK = statement("auction_lock")
_LOOK = statement("auction_look")
_WRITE = statement("auction_write")
_STOCK = statement("auction_stock")
KNOWN_AUCTIONS = 64


class Head(msgspec.Struct, frozen=True):
    """An auction's row."""

    id: str
    shop_id: str
    show_id: str
    variant_id: str
    state: AuctionState
    version: int
    alias_key: str
    ends_ms: int | None
    cap_ms: int | None
    last_n: int
    terms: Terms


class AliasedLine(Line, frozen=True, kw_only=True):
    alias: str


class Newcomer(msgspec.Struct, frozen=True):
    """Somebody without a bid so far. `card_id`: a saved card of theirs that has not expired."""

    user_id: str
    has_address: bool
    card_id: str | None


class _Look(msgspec.Struct, frozen=True):
    now_ms: int
    lines: list[AliasedLine]
    staff: list[str]
    newcomers: list[Newcomer]


@dataclass(slots=True)
class _Known:
    auction: Auction
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class LockedAuction:
    """An auction that nobody else can change until its block ends. `version` is the row's after `write`."""

    head: Head
    auction: Auction
    aliases: dict[str, str]
    now_ms: int
    staff: frozenset[str]
    newcomers: dict[str, Newcomer]
    connection: Connection
    version: int = 0
    _admitted: list[tuple[str, str, str]] = field(default_factory=list)
    _lines: list[Line] = field(default_factory=list)

    def admit(self, newcomer: Newcomer) -> None:
        """Give somebody who needs nothing more a pseudonym."""
        assert newcomer.card_id is not None
        name = alias(bytes.fromhex(self.head.alias_key), newcomer.user_id, set(self.aliases.values()))
        self.aliases[newcomer.user_id] = name
        self._admitted.append((newcomer.user_id, name, newcomer.card_id))

    def written(self, line: Line) -> None:
        self._lines.append(line)

    @property
    def lines(self) -> Sequence[Line]:
        """The book's new lines."""
        return self._lines

    async def write(self, *, awarded: tuple[str, int] | None = None) -> None:
        """Write new bidders, new lines and the auction as it stands; `awarded`: to whom, at which price."""
        auction = self.auction
        leader_id, price_minor = awarded or (auction.leader_id, auction.price_minor)
        self.version = await self.connection.fetchval(
            _WRITE,
            self.head.id,
            auction.state.value,
            auction.last_n,
            auction.bids,
            price_minor,
            auction.next_minor,
            leader_id,
            auction.reserve_met,
            auction.ends_ms,
            auction.cap_ms,
            self.now_ms,
            *_columns(self._admitted, 3),
            *_columns([_row(line) for line in self._lines], 8),
        )

    async def put_back_on_sale(self) -> int | None:
        """The unit was not sold. The stock row's version."""
        return await move_stock(self.connection, self.head.variant_id, "auction_back", -1)

    def standing(self, user_id: str, state: StandingState | None = None) -> StandingView:
        """Where a bidder stands while bids are taken, or in a `state` that is known."""
        auction = self.auction
        return StandingView(
            auction_id=self.head.id,
            alias=self.aliases[user_id],
            state=state or auction.standing_of(user_id),
            max_minor=auction.max_of(user_id),
            misbid_until_ms=auction.misbid_until_ms(user_id),
        )

    def views(self, lines: Collection[Line]) -> list[BidView]:
        """New lines as everybody may see them."""
        return [
            BidView(
                bid_n=line.n if line.takes_back is None else line.takes_back,
                alias=self.aliases[line.user_id],
                amount_minor=line.amount_minor,
                at_ms=line.received_ms,
                retracted=line.takes_back is not None,
            )
            for line in lines
        ]


async def move_stock(connection: Connection, variant_id: str, kind: str, units: int) -> int | None:
    """Take units off sale for an auction, or (below zero) put them back. The stock row's version; None: there
    are not enough."""
    version: int | None = await connection.fetchval(_STOCK, variant_id, kind, units)
    return version


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]


def _row(line: Line) -> tuple[Any, ...]:
    return (
        line.n,
        line.user_id,
        line.command_id,
        line.max_minor,
        line.amount_minor,
        line.media_time,
        line.takes_back,
        line.received_ms,
    )


class AuctionStore:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    @asynccontextmanager
    async def locked(
        self, auction_id: str, people: Collection[str] = ()
    ) -> AsyncIterator[LockedAuction | None]:
        """The auction under its lock, in a transaction that commits with the block. None: no such auction.

        `people` want to bid: who of them is staff, and what the new ones have, is read along.
        """
        known = self._known.pop(auction_id, None)  # back only after the commit: a failure reads it anew
        async with self._database.transaction() as connection:
            head = await _head(connection, auction_id)
            if head is None:
                yield None
                return
            known = known if known and known.auction.last_n <= head.last_n else _Known(_empty(head))
            yield await _caught_up(connection, head, known, people)
        if known.auction.state not in _FORGOTTEN:
            self._known[auction_id] = known
            while len(self._known) > KNOWN_AUCTIONS:
                self._known.popitem(last=False)


_FORGOTTEN = frozenset({AuctionState.SOLD, AuctionState.UNSOLD, AuctionState.CANCELLED})


async def _head(connection: Connection, auction_id: str) -> Head | None:
    text = await connection.fetchval(_LOCK, auction_id)
    return msgspec.json.decode(text, type=Head) if text else None


def _empty(head: Head) -> Auction:
    return Auction(head.terms, head.state)


async def _caught_up(
    connection: Connection, head: Head, known: _Known, people: Collection[str]
) -> LockedAuction:
    auction = known.auction
    text = await connection.fetchval(_LOOK, head.id, auction.last_n, list(people))
    look = msgspec.json.decode(text, type=_Look)
    for line in look.lines:
        auction.add(line)
        known.aliases[line.user_id] = line.alias
    auction.state, auction.ends_ms, auction.cap_ms = head.state, head.ends_ms, head.cap_ms
    newcomers = {one.user_id: one for one in look.newcomers}
    return LockedAuction(
        head, auction, known.aliases, look.now_ms, frozenset(look.staff), newcomers, connection
    )
