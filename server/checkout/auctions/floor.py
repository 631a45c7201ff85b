"""The floor: takes bids and misbids of one process, in groups, each decided and committed at once.

What arrives while a group is being committed goes into the next one, so a burst costs few commits. A bid is
answered once it is durable. Its time of receipt is the database's time less how long it waited here: no two
machines' clocks are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import asyncpg

from overlay.ports import Refusal
from overlay.selling import StandingView
from server.checkout.answers import RETRY_MS
from server.checkout.auctions.refusals import refusal
from server.checkout.auctions.teller import Placed
from server.checkout.ports import StoreTrouble
from server.shop.auction_book import Answer, Bid, Refused, TakeBack, Written
from server.store.auctions import AuctionStore, LockedAuction
from server.store.batch import Batcher, BatcherFull

MAX_GROUP = 256
MAX_WAITING = 5_000
AUCTIONS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A bid, or with `max_minor` None a misbid to be taken back. `since`: when it came, monotonic."""

    show_id: str
    user_id: str
    command_id: str
    max_minor: int | None
    media_time: int | None
    since: float


Result = StandingView | BaseException


class Floor:
    def __init__(
        self,
        store: AuctionStore,
        tell: Callable[[Placed], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._tell, self._clock = store, tell, clock
        self._groups: dict[str, Batcher[Wish, StandingView]] = {}

    async def bid(
        self,
        auction_id: str,
        show_id: str,
        user_id: str,
        command_id: str,
        max_minor: int | None,
        media_time: int | None = None,
    ) -> StandingView:
        """Where the bidder stands, durable. `max_minor` None: take the latest bid back. Raises Refusal."""
        wish = Wish(show_id, user_id, command_id, max_minor, media_time, self._clock())
        try:
            return await self._group(auction_id)(wish)
        except BatcherFull as error:
            raise Refusal("busy", "Too many bids at once. Try again.", retry_after_ms=RETRY_MS) from error

    def _group(self, auction_id: str) -> Batcher[Wish, StandingView]:
        group = self._groups.get(auction_id)
        if group is None:
            if len(self._groups) >= AUCTIONS_KEPT:
                self._groups.pop(next(iter(self._groups)))
            commit = partial(self._commit, auction_id)
            group = Batcher[Wish, StandingView](commit, max_batch=MAX_GROUP, max_waiting=MAX_WAITING)
            self._groups[auction_id] = group
        return group

    async def _commit(self, auction_id: str, wishes: list[Wish]) -> Sequence[Result]:
        try:
            return await self._decide_all(auction_id, wishes)
        except StoreTrouble as error:  # somebody was hired between the look and the write: look again
            if not isinstance(error.__cause__, asyncpg.IntegrityConstraintViolationError):
                raise
        return await self._decide_all(auction_id, wishes)

    async def _decide_all(self, auction_id: str, wishes: list[Wish]) -> Sequence[Result]:
        people = list({wish.user_id for wish in wishes})
        async with self._store.locked(auction_id, people) as locked:
            if locked is None:
                return [refusal("no_such_auction") for _ in wishes]
            leader = locked.auction.leader_id
            answers = [self._decide(locked, wish) for wish in wishes]
            results = [_result(locked, wish, answer) for wish, answer in zip(wishes, answers, strict=True)]
            if locked.lines:
                await locked.write()
        if locked.lines:
            self._tell(_placed(locked, leader))
        return results

    def _decide(self, locked: LockedAuction, wish: Wish) -> Answer:
        if wish.show_id != locked.head.show_id:
            return Refused("no_such_auction")
        code = _not_admitted(locked, wish)
        if code:
            return Refused(code)
        received_ms = locked.now_ms - max(0, round((self._clock() - wish.since) * 1000))
        if wish.max_minor is None:
            back = TakeBack(wish.user_id, wish.command_id, received_ms)
            answer = locked.auction.take_back(back, locked.now_ms)
        else:
            bid = Bid(wish.user_id, wish.command_id, wish.max_minor, received_ms, wish.media_time)
            answer = locked.auction.bid(bid, locked.now_ms)
        if isinstance(answer, Written):
            if wish.user_id not in locked.aliases:
                locked.admit(locked.newcomers[wish.user_id])
            locked.written(answer.line)
        return answer


def _not_admitted(locked: LockedAuction, wish: Wish) -> str | None:
    """What stands between a person and a bid."""
    if wish.user_id in locked.staff:
        return "staff_may_not_bid"
    if wish.user_id in locked.aliases:
        return None
    newcomer = locked.newcomers.get(wish.user_id)
    if newcomer is None:
        return "not_signed_in"
    if not newcomer.has_address:
        return "address_needed"
    return None if newcomer.card_id else "card_needed"


def _result(locked: LockedAuction, wish: Wish, answer: Answer) -> Result:
    if isinstance(answer, Refused):
        return refusal(answer.code, least_minor=answer.least_minor)
    return locked.standing(wish.user_id)


def _placed(locked: LockedAuction, leader_before: str | None) -> Placed:
    auction = locked.auction
    moved = {leader_before, auction.leader_id} - {None} if auction.leader_id != leader_before else set()
    return Placed(
        show_id=locked.head.show_id,
        auction_id=locked.head.id,
        version=locked.version,
        bids=locked.views(locked.lines),
        price_minor=auction.price_minor,
        next_minor=auction.next_minor,
        count=auction.bids,
        leader=locked.aliases[auction.leader_id] if auction.leader_id else None,
        ends_ms=auction.ends_ms,
        reserve_met=auction.reserve_met,
        moved={who: locked.standing(who) for who in moved if who},
    )
