"""An auction's rules: who may place which bid when, who leads at what price, when the hammer falls.

Theory. The **book** is all there is: bids and misbids taken back, numbered in the order in which they were
written down; whoever folds it gets the same auction. A bid names a hidden maximum; the shop bids for its
bidder, never above it:

    price = the second highest maximum + one increment, at most the highest; alone: the start price;
            at least the reserve as soon as the highest maximum reaches it
    leader = the highest maximum; of two equal ones the earlier in the book
    next   = what a new bidder must offer at least: price + increment; the start price while nobody has bid

    announced --opened--> open --hammer--> closing --awarded--> charging --paid--> sold
        |                  |                  |                 |     ^
        +---called off-----+--> cancelled     +----passed-------+     +--awarded (to the next in line)
                                                    v
                                                  unsold

Time is the database's. A bid was *received* when a process of ours had it, and is *decided* later, at `now`.
It counts while `now` is no later than the hammer; and until one latency window after it, if it was received
before the hammer, or if its picture was (see auction_picture). Later than that none counts. A bid in the last
`extension_ms` before the hammer moves it to `extension_ms` after the bid, never past the cap; none does after
the hammer has fallen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from overlay.selling import AuctionState, StandingState
from server.shop.auction_book import Answer, Bid, Line, Refused, Repeated, TakeBack, Terms, Written
from server.shop.auction_picture import PictureClock
from server.shop.auction_ranking import Best, Ranking

NO_TAKING_BACK_MS = 5_000
"""Before the hammer a bid stands: nobody can look at the others' maxima by a bid that is then taken back."""


class AuctionEvent(StrEnum):
    OPENED = "opened"
    CALLED_OFF = "called_off"
    HAMMER = "hammer"
    AWARDED = "awarded"
    PAID = "paid"
    PASSED = "passed"


_S, _E = AuctionState, AuctionEvent

STEPS: dict[tuple[AuctionState, AuctionEvent], AuctionState] = {
    (_S.ANNOUNCED, _E.OPENED): _S.OPEN,
    (_S.ANNOUNCED, _E.CALLED_OFF): _S.CANCELLED,
    (_S.OPEN, _E.CALLED_OFF): _S.CANCELLED,
    (_S.OPEN, _E.HAMMER): _S.CLOSING,
    (_S.CLOSING, _E.AWARDED): _S.CHARGING,
    (_S.CLOSING, _E.PASSED): _S.UNSOLD,
    (_S.CHARGING, _E.AWARDED): _S.CHARGING,
    (_S.CHARGING, _E.PAID): _S.SOLD,
    (_S.CHARGING, _E.PASSED): _S.UNSOLD,
}
TAKES_BIDS = frozenset({_S.ANNOUNCED, _S.OPEN, _S.CLOSING})
ENDED = frozenset({_S.SOLD, _S.UNSOLD, _S.CANCELLED})


@dataclass(slots=True)
class Auction:
    """An auction folded from its book. One that a failed write has touched is thrown away and read again."""

    terms: Terms
    state: AuctionState
    ends_ms: int | None = None
    cap_ms: int | None = None
    last_n: int = 0
    bids: int = 0
    ranking: Ranking = field(default_factory=Ranking)
    standing: dict[str, list[Line]] = field(default_factory=dict)  # by bidder, rising
    commands: dict[tuple[str, str], Line] = field(default_factory=dict)
    took_back: set[str] = field(default_factory=set)
    picture: PictureClock = field(default_factory=PictureClock)

    # --- the book ---

    def add(self, line: Line) -> None:
        """Fold the book's next line in."""
        self.last_n = line.n
        self.commands[line.user_id, line.command_id] = line
        if line.takes_back is not None:
            self._strike(line)
            return
        self.bids += 1
        self.standing.setdefault(line.user_id, []).append(line)
        self.ranking = self.ranking.joined(Best(line.user_id, line.max_minor, line.n))
        self.picture = self.picture.seen(line.media_time, line.received_ms)

    def _strike(self, line: Line) -> None:
        self.took_back.add(line.user_id)
        left = [bid for bid in self.standing.get(line.user_id, []) if bid.n != line.takes_back]
        self.standing[line.user_id] = left
        if not left:
            del self.standing[line.user_id]
        self.ranking = self.ranking_without(())

    def ranking_without(self, user_ids: Collection[str]) -> Ranking:
        """As if these people had never bid."""
        ranking = Ranking()
        for user_id, lines in self.standing.items():
            if user_id not in user_ids:
                ranking = ranking.joined(Best(user_id, lines[-1].max_minor, lines[-1].n))
        return ranking

    # --- what it shows ---

    @property
    def is_secret(self) -> bool:
        """Pre-bids have their place in line, but show no price."""
        return self.state is AuctionState.ANNOUNCED

    @property
    def price_minor(self) -> int:
        return self.terms.start_minor if self.is_secret else self.ranking.price_minor(self.terms)

    @property
    def next_minor(self) -> int:
        if self.is_secret or self.ranking.leader is None:
            return self.terms.start_minor
        return self.price_minor + self.terms.increment_minor

    @property
    def leader_id(self) -> str | None:
        return None if self.is_secret or self.ranking.leader is None else self.ranking.leader.user_id

    @property
    def reserve_met(self) -> bool:
        """Whether there is a reserve, and it is reached."""
        shown = self.terms.reserve_minor > 0 and not self.is_secret
        return shown and self.ranking.reserve_met(self.terms)

    def max_of(self, user_id: str) -> int:
        """A bidder's own maximum; 0 for none."""
        lines = self.standing.get(user_id)
        return lines[-1].max_minor if lines else 0

    def standing_of(self, user_id: str) -> StandingState:
        """While bids are taken. A pre-bid stands until the auction opens, whatever the others bid."""
        if self.is_secret and user_id in self.standing:
            return StandingState.LEADING
        return StandingState.LEADING if self.leader_id == user_id else StandingState.OUTBID

    # --- bids ---

    def bid(self, bid: Bid, now_ms: int) -> Answer:
        """Decide a bid at `now_ms`; a new line is folded in already."""
        known = self.commands.get((bid.user_id, bid.command_id))
        if known is not None:
            return Repeated(known)
        if not self._in_time(bid, now_ms):
            return Refused("auction_closed")
        least = self._least(bid.user_id)
        if bid.max_minor < least:
            return Refused("bid_too_low", least)
        self._extend(bid.received_ms, now_ms)
        return Written(self._write(bid))

    def _write(self, bid: Bid) -> Line:
        line = Line(
            n=self.last_n + 1,
            user_id=bid.user_id,
            command_id=bid.command_id,
            max_minor=bid.max_minor,
            amount_minor=0,
            received_ms=bid.received_ms,
            media_time=bid.media_time,
        )
        self.add(line)
        shown = msgspec.structs.replace(line, amount_minor=min(bid.max_minor, self.price_minor))
        self.standing[bid.user_id][-1] = self.commands[bid.user_id, bid.command_id] = shown
        return shown

    def _least(self, user_id: str) -> int:
        own = self.max_of(user_id)
        return own + 1 if self.leader_id == user_id else max(self.next_minor, own + 1)

    def _in_time(self, bid: Bid, now_ms: int) -> bool:
        if self.state not in TAKES_BIDS:
            return False
        if self.ends_ms is None or now_ms <= self.ends_ms:
            return True
        if now_ms > self.ends_ms + self.terms.latency_window_ms:
            return False
        return bid.received_ms <= self.ends_ms or self.picture.was_before(bid.media_time, self.ends_ms)

    def _extend(self, received_ms: int, now_ms: int) -> None:
        ends, cap, extension = self.ends_ms, self.cap_ms, self.terms.extension_ms
        if self.state is not AuctionState.OPEN or ends is None or cap is None or now_ms > ends:
            return
        if extension and ends - received_ms < extension:
            self.ends_ms = max(ends, min(received_ms + extension, cap))

    # --- misbids ---

    def take_back(self, wish: TakeBack, now_ms: int) -> Answer:
        """Strike a bidder's latest bid: within its window, not close to the hammer, once an auction. An
        extension stays."""
        known = self.commands.get((wish.user_id, wish.command_id))
        if known is not None:
            return Repeated(known)
        if self.state not in TAKES_BIDS or (self.ends_ms is not None and now_ms > self.ends_ms):
            return Refused("auction_closed")
        until_ms = self.misbid_until_ms(wish.user_id)
        if until_ms is None or wish.received_ms > until_ms:
            return Refused("misbid_over")
        latest = self.standing[wish.user_id][-1]
        line = Line(
            n=self.last_n + 1,
            user_id=wish.user_id,
            command_id=wish.command_id,
            max_minor=latest.max_minor,
            amount_minor=latest.amount_minor,
            received_ms=wish.received_ms,
            takes_back=latest.n,
        )
        self.add(line)
        return Written(line)

    def misbid_until_ms(self, user_id: str) -> int | None:
        """Until when a bidder's latest bid can be taken back; None: it can't."""
        lines = self.standing.get(user_id)
        if not lines or user_id in self.took_back or self.state not in TAKES_BIDS:
            return None
        until = lines[-1].received_ms + self.terms.misbid_ms
        return until if self.ends_ms is None else min(until, self.ends_ms - NO_TAKING_BACK_MS)

    # --- the clock ---

    def open(self, now_ms: int) -> bool:
        """Start the clock. False: it was started, or can't be any more."""
        if not self._step(AuctionEvent.OPENED):
            return False
        self.ends_ms = now_ms + self.terms.duration_ms
        self.cap_ms = self.ends_ms + self.terms.max_extension_ms
        return True

    def call_off(self, now_ms: int) -> bool:
        """Only before the hammer."""
        if self.ends_ms is not None and now_ms > self.ends_ms:
            return False
        return self._step(AuctionEvent.CALLED_OFF)

    def hammer(self, now_ms: int) -> bool:
        """Fall, where it is time."""
        if self.ends_ms is None or now_ms <= self.ends_ms:
            return False
        return self._step(AuctionEvent.HAMMER)

    def is_over(self, now_ms: int) -> bool:
        """Whether the last bid that could count has been decided."""
        return self.ends_ms is not None and now_ms > self.ends_ms + self.terms.latency_window_ms

    def award(self, event: AuctionEvent) -> bool:
        """Take a step that others decided; False: there is none."""
        return self._step(event)

    def _step(self, event: AuctionEvent) -> bool:
        to = STEPS.get((self.state, event))
        if to is None:
            return False
        self.state = to
        return True
