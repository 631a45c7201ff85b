"""Auctions on real stores: announced, bid on, closed, charged, offered to the next in line."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from overlay.frames import Offset, ShowId, ShowState, UserId
from overlay.log import ShowLog, open_redis
from overlay.ports import Actor, Refusal, RoomSeed
from overlay.selling import (
    AnnounceAuction,
    AuctionChanged,
    AuctionView,
    Bid,
    BidsPlaced,
    CancelAuction,
    OpenAuction,
    RetractBid,
    Standing,
    StandingView,
)
from overlay.signals import user_channel
from server.checkout.auctions.views import standing_view
from server.checkout.auctions.wiring import auction_parts
from server.checkout.ports import StoreTrouble
from server.checkout.wiring import checkout
from server.jobs.charges import StaleCharges
from server.jobs.news import OrderMail
from server.letters import letter
from server.shop.ids import OrderId
from server.store import auction_views
from server.store.auctions import LockedAuction
from server.store.outbox import OutboxRow

from .world import World

HOST = Actor(UserId(str(uuid4())), None, "Host", frozenset({"host"}))


class Saleroom:
    """One auction after another in a world's show."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def sell(self, actor: Actor, command: Any) -> Any:
        return await self.world.selling.sell(self.world.show_id, actor, command)

    async def announce(self, variant: str, **terms: Any) -> str:
        given = {"start_minor": 1_000, "increment_minor": 100, "duration_s": 60} | terms
        await self.sell(HOST, AnnounceAuction(id=uuid4().hex, variant_id=variant, **given))
        newest = await self.world.pool.fetchval(
            "SELECT id::text FROM auctions ORDER BY created_at DESC LIMIT 1"
        )
        return str(newest)

    async def opened(self, variant: str, **terms: Any) -> str:
        auction = await self.announce(variant, **terms)
        await self.sell(HOST, OpenAuction(id=uuid4().hex, auction_id=auction))
        return auction

    async def bid(
        self,
        auction: str,
        user_id: str,
        max_minor: int,
        *,
        id: str | None = None,
        media_time: int | None = None,
    ) -> StandingView:
        command = Bid(id=id or uuid4().hex, auction_id=auction, max_minor=max_minor, media_time=media_time)
        answer = await self.sell(Actor(UserId(user_id), None, "Ada"), command)
        assert isinstance(answer.standing, StandingView)
        return answer.standing

    async def take_back(self, auction: str, user_id: str) -> StandingView:
        command = RetractBid(id=uuid4().hex, auction_id=auction)
        answer = await self.sell(Actor(UserId(user_id), None, "Ada"), command)
        assert isinstance(answer.standing, StandingView)
        return answer.standing

    async def view(self, auction: str) -> AuctionView:
        seed = await self.world.selling.seed(self.world.show_id, RoomSeed(ShowState.LIVE, None, {}))
        view: AuctionView = seed.auctions[auction]
        return view

    async def past_hammer(self, auction: str, by_s: float = 10) -> None:
        """As if the hammer had fallen that long ago."""
        await self.world.pool.execute(
            "UPDATE auctions SET ends_at = clock_timestamp() - make_interval(secs => $2),"
            " cap_at = greatest(cap_at, clock_timestamp()) WHERE id = $1",
            auction,
            by_s,
        )

    async def closed(self, auction: str) -> None:
        """Through the hammer and every offer until nothing is left to do."""
        await self.past_hammer(auction)
        for _ in range(20):
            await self.world.checkout.auctioneer.run()
            await self.world.queue.idle()
            if not await self.world.checkout.auctioneer.run():
                return

    async def state(self, auction: str) -> str:
        return str(await self.world.pool.fetchval("SELECT state FROM auctions WHERE id = $1", auction))

    async def offers(self, auction: str) -> list[tuple[str, int, str]]:
        rows = await self.world.pool.fetch(
            "SELECT f.user_id::text, f.price_minor, coalesce(o.state, f.failure) FROM auction_offers f"
            " LEFT JOIN orders o ON o.id = f.order_id WHERE f.auction_id = $1 ORDER BY f.n",
            auction,
        )
        return [tuple(row) for row in rows]

    async def letters(self) -> list[tuple[str, str, str | None]]:
        """Mails as they leave, in order: letter, to whom, and why a payment failed."""
        sent: list[Any] = []

        async def deliver(payload: Any) -> None:
            letter(payload["letter"], payload["values"])
            sent.append((payload["letter"], payload["to"].split("@")[0], payload["values"].get("reason")))

        mail = OrderMail(self.world.pool, deliver, "https://shop.example").handlers()
        query = "SELECT id, kind, payload, attempts FROM outbox WHERE kind = ANY($1::text[]) ORDER BY id"
        for row in await self.world.pool.fetch(query, list(mail)):
            assert await mail[row["kind"]]([OutboxRow(*row)]) == {}
        return sent

    async def standing(self, auction: str, user_id: str) -> StandingView:
        async with self.world.pool.acquire() as db:
            row = await auction_views.auction(db, auction)
            (own,) = await auction_views.own_bids(db, [auction], user_id)
        assert row is not None
        return standing_view(row, own)


@pytest.fixture
def saleroom(world: World) -> Saleroom:
    return Saleroom(world)


async def code_of(work: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value.code


async def test_the_highest_maximum_wins_at_the_second_price(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant, ada, bob = await world.variant(1), await world.person(), await world.person()
    auction = await saleroom.opened(variant)
    assert await world.stock_of(variant) == (0, 0, 0)

    assert (await saleroom.bid(auction, ada, 5_000)).state == "leading"
    outbid = await saleroom.bid(auction, bob, 2_000)
    assert (outbid.state, outbid.max_minor) == ("outbid", 2_000)

    view = await saleroom.view(auction)
    assert (view.price_minor, view.next_minor, view.bids) == (2_100, 2_200, 2)
    assert [(b.bid_n, b.amount_minor) for b in view.recent] == [(1, 1_000), (2, 2_000)]
    await saleroom.closed(auction)

    assert await saleroom.state(auction) == "sold"
    assert await saleroom.offers(auction) == [(ada, 2_100, "paid")]
    assert await world.stock_of(variant) == (0, 0, 1)
    row = await world.pool.fetchrow("SELECT * FROM orders WHERE auction_id = $1", auction)
    assert row is not None
    assert (row["subtotal_minor"], row["total_minor"]) == (2_100, 2_590)
    history = await world.pool.fetch(
        "SELECT kind FROM order_events WHERE order_id = $1 ORDER BY id", row["id"]
    )
    assert [one["kind"] for one in history] == ["auction_won", "placed", "paid"]
    mails = await world.pool.fetch("SELECT payload FROM outbox WHERE kind = 'order_mail' ORDER BY id")
    assert [mail["payload"]["letter"] for mail in mails] == ["auction_won", "receipt"]
    await world.assert_books_balance()


async def test_a_repeated_bid_is_one_bid(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    ada = await world.person()
    for _ in range(3):
        assert (await saleroom.bid(auction, ada, 5_000, id="same")).state == "leading"
    assert (await saleroom.view(auction)).bids == 1


async def test_what_is_needed_before_the_first_bid(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    assert await code_of(saleroom.bid(auction, await world.person(card=""), 5_000)) == "card_needed"
    homeless = await world.person(address=False)
    assert await code_of(saleroom.bid(auction, homeless, 5_000)) == "address_needed"
    expired = await world.person()
    await world.pool.execute("UPDATE cards SET exp_year = 2020 WHERE user_id = $1", expired)
    assert await code_of(saleroom.bid(auction, expired, 5_000)) == "card_needed"
    low = await world.person()
    assert await code_of(saleroom.bid(auction, low, 999)) == "bid_too_low"
    assert (await saleroom.view(auction)).bids == 0


async def test_staff_cannot_bid_whatever_their_session_says(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    moderator, ada = await world.person(), await world.person()
    await saleroom.bid(auction, ada, 2_000)
    await world.pool.execute(
        "INSERT INTO memberships (shop_id, user_id, role) VALUES ($1, $2, 'moderator'), ($1, $3, 'host')",
        world.shop_id,
        moderator,
        ada,
    )
    assert await code_of(saleroom.bid(auction, moderator, 5_000)) == "staff_may_not_bid"
    assert await code_of(saleroom.bid(auction, ada, 5_000)) == "staff_may_not_bid"
    line = (
        "INSERT INTO auction_book (auction_id, n, user_id, command_id, max_minor, amount_minor, received_at,"
        " decided_at) VALUES ($1, 2, $2, 'x', 5000, 5000, now(), now())"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="staff_may_not_bid"):
        await world.pool.execute(line, auction, ada)


async def test_the_database_takes_no_late_bid_and_changes_no_line(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction, ada = await saleroom.opened(await world.variant(1)), await world.person()
    await saleroom.bid(auction, ada, 2_000)
    await saleroom.past_hammer(auction)
    line = (
        "INSERT INTO auction_book (auction_id, n, user_id, command_id, max_minor, amount_minor, received_at,"
        " decided_at) VALUES ($1, 2, $2, 'x', 5000, 5000, now(), now())"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="auction_closed"):
        await world.pool.execute(line, auction, ada)
    for change in ("UPDATE auction_book SET max_minor = 1", "DELETE FROM auction_book"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await world.pool.execute(change)


async def test_no_bid_counts_after_the_window_however_late_the_worker_is(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction, ada, bob = (
        await saleroom.opened(await world.variant(1)),
        await world.person(),
        await world.person(),
    )
    await saleroom.bid(auction, ada, 2_000)
    await saleroom.past_hammer(auction, by_s=0.2)
    assert await code_of(saleroom.bid(auction, bob, 9_000)) == "auction_closed"
    await saleroom.past_hammer(auction, by_s=2)
    assert await code_of(saleroom.bid(auction, bob, 9_000)) == "auction_closed"
    assert (await saleroom.view(auction)).state == "closing"
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(ada, 1_000, "paid")]


async def test_a_bid_under_way_when_the_hammer_fell_counts_by_its_picture(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction, ada, bob = (
        await saleroom.opened(await world.variant(1)),
        await world.person(),
        await world.person(),
    )
    await saleroom.bid(auction, ada, 2_000, media_time=90 * 60_000)
    received = await world.pool.fetchval("SELECT received_at FROM auction_book WHERE n = 1")
    await world.pool.execute("UPDATE auctions SET latency_window_ms = 10000")
    await saleroom.past_hammer(auction, by_s=0.5)
    ends = await world.pool.fetchval("SELECT ends_at FROM auctions WHERE id = $1", auction)
    hammer = 90 * 60_000 + round((ends - received).total_seconds() * 90_000)
    late = await code_of(saleroom.bid(auction, bob, 9_000, media_time=hammer + 900))
    assert late == "auction_closed"
    assert (await saleroom.bid(auction, bob, 9_000, media_time=hammer - 900)).state == "leading"
    view = await saleroom.view(auction)
    assert view.ends_ms == int(ends.timestamp() * 1000)
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(bob, 2_100, "paid")]


async def test_the_next_in_line_pays_as_if_the_failed_winner_had_never_bid(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(1)
    poor, second, third = await world.person("declined"), await world.person(), await world.person()
    auction = await saleroom.opened(variant)
    for who, most in ((third, 1_500), (second, 3_000), (poor, 9_000)):
        await saleroom.bid(auction, who, most)
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(poor, 3_100, "declined"), (second, 1_600, "paid")]
    assert await saleroom.state(auction) == "sold"
    assert await saleroom.letters() == [
        ("auction_won", poor, None),
        ("auction_lost", poor, "There is not enough money on the card."),
        ("auction_next", second, None),
        ("receipt", second, None),
    ]
    standing = await saleroom.standing(auction, poor)
    assert (standing.state, standing.reason) == ("payment_failed", "There is not enough money on the card.")
    assert (await saleroom.standing(auction, second)).reason is None
    assert await world.stock_of(variant) == (0, 0, 1)
    await world.assert_books_balance()


async def test_unsold_after_three_who_could_not_pay(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(2)
    auction = await saleroom.opened(variant)
    for n in range(4):
        await saleroom.bid(auction, await world.person("declined"), 2_000 + n * 1_000)
    await saleroom.closed(auction)
    assert [state for _, _, state in await saleroom.offers(auction)] == ["declined"] * 3
    letters = [letter for letter, _, _ in await saleroom.letters()]
    assert letters == ["auction_won", *["auction_lost", "auction_next"] * 2, "auction_lost"]
    assert await saleroom.state(auction) == "unsold"
    assert await world.stock_of(variant) == (2, 0, 0)
    await world.assert_books_balance()


async def test_a_winner_who_is_gone_is_passed_over(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    gone, second = await world.person(), await world.person()
    await saleroom.bid(auction, gone, 9_000)
    await saleroom.bid(auction, second, 3_000)
    await world.pool.execute("UPDATE cards SET removed_at = now() WHERE user_id = $1", gone)
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(gone, 3_100, "no_card"), (second, 1_000, "paid")]
    letters = [(letter, to) for letter, to, _ in await saleroom.letters()]
    assert letters == [("auction_lost", gone), ("auction_next", second), ("receipt", second)]


async def test_unsold_below_the_reserve_and_without_bids(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(2)
    auction = await saleroom.opened(variant, reserve_minor=5_000)
    await saleroom.bid(auction, await world.person(), 4_000)
    view = await saleroom.view(auction)
    assert (view.has_reserve, view.reserve_met, view.price_minor) == (True, False, 1_000)
    empty = await saleroom.opened(variant)
    await saleroom.closed(auction)
    await saleroom.closed(empty)
    assert [await saleroom.state(a) for a in (auction, empty)] == ["unsold", "unsold"]
    assert await saleroom.offers(auction) == []
    assert await world.stock_of(variant) == (2, 0, 0)


async def test_a_winner_who_is_there_confirms_and_one_who_does_not_is_charged_without(
    saleroom: Saleroom,
) -> None:
    world = saleroom.world
    variant = await world.variant(1)
    ada = await world.person("action")
    auction = await saleroom.opened(variant)
    await saleroom.bid(auction, ada, 2_000)
    async with world.redis.pubsub() as here:
        await here.subscribe(f"hawker:user:{ada}")
        await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(ada, 1_000, "action_needed")]
    order = OrderId(await world.pool.fetchval("SELECT id::text FROM orders"))
    deadline = await world.pool.fetchval("SELECT action_deadline - now() FROM orders")
    assert 60 < deadline.total_seconds() <= 120
    assert await code_of(world.buyer.cancel(order, ada)) == "not_cancellable"

    record = await world.orders.get(order)
    assert record is not None
    await world.buyer.call_off(record)
    for method in world.provider.cards:
        world.provider.cards[method] = "paid"
    await saleroom.closed(auction)
    assert [state for _, _, state in await saleroom.offers(auction)] == ["cancelled", "paid"]
    letters = [letter for letter, _, _ in await saleroom.letters()]
    assert letters == ["auction_won", "auction_again", "receipt"]
    kinds = await world.pool.fetch("SELECT off_session FROM payment_attempts ORDER BY created_at")
    assert [row["off_session"] for row in kinds] == [False, True]
    assert await world.stock_of(variant) == (0, 0, 1)
    await world.assert_books_balance()


async def test_a_declined_winner_gets_no_second_try(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant, poor = await world.variant(3), await world.person("declined")
    auction = await saleroom.opened(variant)
    await saleroom.bid(auction, poor, 2_000)
    await saleroom.closed(auction)
    order = OrderId(await world.pool.fetchval("SELECT id::text FROM orders"))
    good = await world.card(poor, "paid")
    assert await code_of(world.buyer.retry(order, poor, good)) == "not_for_sale"


async def test_nobody_wins_more_than_a_buyer_may_have(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant, ada, bob = await world.variant(3, limit=1), await world.person(), await world.person()
    auction = await saleroom.opened(variant)
    await saleroom.bid(auction, ada, 9_000)
    await saleroom.bid(auction, bob, 2_000)
    await world.charged(world.wish(ada, (variant, 1)))
    await saleroom.closed(auction)
    assert [state for _, _, state in await saleroom.offers(auction)] == ["buyer_limit", "paid"]
    await world.assert_books_balance()


async def test_nobody_wins_what_they_bought_at_the_same_moment(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant, ada, bob = await world.variant(3, limit=1), await world.person(), await world.person()
    auction = await saleroom.opened(variant)
    await saleroom.bid(auction, ada, 9_000)
    await saleroom.bid(auction, bob, 2_000)
    tapped = world.wish(await world.person(), (variant, 1))
    await world.charged(tapped)
    await saleroom.past_hammer(auction)
    async with world.pool.acquire() as tap, asyncio.timeout(30):
        async with tap.transaction():
            await tap.execute("SELECT FROM stock WHERE variant_id = $1 FOR UPDATE", variant)
            award = asyncio.create_task(world.auctioneer.run())
            while not award.done() and not await world.pool.fetchval(
                "SELECT true FROM pg_locks WHERE NOT granted"
            ):
                await asyncio.sleep(0.02)
            await tap.execute("UPDATE orders SET user_id = $2 WHERE id = $1", tapped.order_id, ada)
        await award
    await saleroom.closed(auction)
    assert [state for _, _, state in await saleroom.offers(auction)] == ["buyer_limit", "paid"]


async def test_called_off_before_the_hammer_only(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(1)
    auction = await saleroom.opened(variant)
    ada = await world.person()
    await saleroom.bid(auction, ada, 2_000)
    for _ in range(2):
        await saleroom.sell(HOST, CancelAuction(id="off", auction_id=auction))
    assert await world.stock_of(variant) == (1, 0, 0)
    assert await code_of(saleroom.bid(auction, ada, 3_000)) == "auction_closed"
    late = await saleroom.opened(variant)
    await saleroom.past_hammer(late, 0.1)
    assert await code_of(saleroom.sell(HOST, CancelAuction(id="o2", auction_id=late))) == "wrong_state"


async def test_what_was_never_opened_ends_with_its_show(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(2)
    announced, running = await saleroom.announce(variant), await saleroom.opened(variant)
    assert await world.checkout.auctioneer.run() == 0
    await world.pool.execute("UPDATE shows SET state = 'ended' WHERE id = $1", world.show_id)
    assert await world.checkout.auctioneer.run() == 1
    assert [await saleroom.state(a) for a in (announced, running)] == ["cancelled", "open"]
    assert await world.stock_of(variant) == (1, 0, 0)
    assert await code_of(saleroom.announce(variant)) == "wrong_state"
    await world.assert_books_balance()


async def test_announced_once_and_only_what_is_there(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant = await world.variant(1)
    command = AnnounceAuction(
        id="one", variant_id=variant, start_minor=100, increment_minor=10, duration_s=60
    )
    for _ in range(2):
        await saleroom.sell(HOST, command)
    assert await world.pool.fetchval("SELECT count(*) FROM auctions") == 1
    assert await code_of(saleroom.announce(variant)) == "not_enough_stock"
    assert await code_of(saleroom.announce(str(uuid4()))) == "not_in_show"
    assert await code_of(saleroom.announce("x")) == "not_in_show"
    assert await world.stock_of(variant) == (0, 0, 0)
    await world.assert_books_balance()


async def test_pre_bids_show_no_price_and_have_their_place_in_line(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.announce(await world.variant(1))
    ada, bob = await world.person(), await world.person()
    assert (await saleroom.bid(auction, ada, 4_000)).state == "leading"
    assert (await saleroom.bid(auction, bob, 4_000)).state == "leading"
    view = await saleroom.view(auction)
    assert (view.price_minor, view.next_minor, view.leader) == (1_000, 1_000, None)
    assert {bid.amount_minor for bid in view.recent} == {1_000}
    await saleroom.sell(HOST, OpenAuction(id="o", auction_id=auction))
    view = await saleroom.view(auction)
    assert (view.price_minor, view.leader) == (4_000, view.recent[0].alias)


async def test_a_misbid_is_taken_back_once_and_shown(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    ada, bob = await world.person(), await world.person()
    await saleroom.bid(auction, bob, 2_000)
    wrong = await saleroom.bid(auction, ada, 90_000)
    assert wrong.misbid_until_ms is not None
    assert (await saleroom.take_back(auction, ada)).max_minor == 0
    view = await saleroom.view(auction)
    assert (view.price_minor, view.bids) == (1_000, 2)
    assert [bid.retracted for bid in view.recent] == [False, True]
    await saleroom.bid(auction, ada, 3_000)
    assert await code_of(saleroom.take_back(auction, ada)) == "misbid_over"


async def test_a_burst_from_two_processes_leaves_one_complete_book(
    saleroom: Saleroom,
) -> None:
    world = saleroom.world
    other = checkout(world.pool, world.redis, world.provider)
    auction = await saleroom.opened(await world.variant(1))
    people = [await world.person() for _ in range(12)]
    wishes = [(who, 1_000 + 100 * (7 * n % 40)) for n, who in enumerate(people * 8)]

    async def bid(n: int, who: str, most: int) -> StandingView | Refusal:
        shop = (world.checkout, other)[n % 2]
        try:
            command = Bid(id=f"b{n}", auction_id=auction, max_minor=most)
            answer = await shop.selling.sell(world.show_id, Actor(UserId(who), None, "A"), command)
        except Refusal as refusal:
            return refusal
        assert answer.standing is not None
        return answer.standing

    answers = await asyncio.gather(*(bid(n, who, most) for n, (who, most) in enumerate(wishes)))
    await other.teller.close()
    accepted = {f"b{n}" for n, answer in enumerate(answers) if isinstance(answer, StandingView)}
    assert {a.code for a in answers if isinstance(a, Refusal)} <= {"bid_too_low"}
    rows = await world.pool.fetch(
        "SELECT n, command_id, max_minor, user_id::text FROM auction_book ORDER BY n"
    )
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["command_id"] for row in rows} == accepted
    best = max(rows, key=lambda row: (row["max_minor"], -row["n"]))
    await saleroom.closed(auction)
    assert (await saleroom.offers(auction))[0][0] == best["user_id"]


async def test_a_write_that_failed_leaves_nothing_behind(
    saleroom: Saleroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process had decided already: it forgets that and reads the book anew."""
    world = saleroom.world
    auction, ada = await saleroom.opened(await world.variant(1)), await world.person()
    await saleroom.bid(auction, ada, 2_000)
    write, failures = LockedAuction.write, [StoreTrouble("gone")]

    async def failing(locked: LockedAuction, **more: Any) -> None:
        if failures:
            raise failures.pop()
        await write(locked, **more)

    monkeypatch.setattr(LockedAuction, "write", failing)
    with pytest.raises(StoreTrouble):
        await saleroom.bid(auction, ada, 50_000, id="second")
    assert (await saleroom.bid(auction, ada, 3_000)).max_minor == 3_000
    book = await world.pool.fetch("SELECT n, max_minor FROM auction_book ORDER BY n")
    assert [tuple(line) for line in book] == [(1, 2_000), (2, 3_000)]


async def told(world: World) -> list[Any]:
    """The events of the show's log."""
    log = ShowLog(world.redis)
    head = await log.head(world.show_id)
    assert head is not None
    entries = await log.tail(ShowId(world.show_id), Offset(head.epoch, 0), None)
    assert entries is not None
    return [entry.event for entry in entries]


async def test_rooms_hear_of_bids_together_and_of_what_was_lost(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    people = [await world.person() for _ in range(6)]
    bids = (saleroom.bid(auction, who, 2_000 + 300 * n) for n, who in enumerate(people))
    await asyncio.gather(*bids, return_exceptions=True)
    await world.teller.close()
    placed = [event for event in await told(world) if isinstance(event, BidsPlaced)]
    assert 1 <= len(placed) <= 6
    assert placed[-1].count == (await saleroom.view(auction)).bids

    await world.pool.execute("UPDATE auctions SET updated_at = now() - interval '2 s'")
    assert await world.checkout.auctioneer.tell_untold() == 1
    assert await world.checkout.auctioneer.tell_untold() == 0
    newest = (await told(world))[-1]
    assert isinstance(newest, AuctionChanged)
    assert newest.auction == await saleroom.view(auction)


async def test_the_public_book_names_nobody(saleroom: Saleroom) -> None:
    world = saleroom.world
    variant, ada = await world.variant(2), await world.person()
    first, second = await saleroom.opened(variant), await saleroom.opened(variant)
    one, two = await saleroom.bid(first, ada, 2_000), await saleroom.bid(second, ada, 2_000)
    assert one.alias != two.alias
    async with world.pool.acquire() as connection:
        book = await auction_views.book(connection, first, None)
        assert [(line.bid_n, line.alias, line.amount_minor) for line in book] == [(1, one.alias, 1_000)]


async def test_pre_bidders_hear_where_they_stand_when_it_opens(saleroom: Saleroom) -> None:
    world = saleroom.world
    auction = await saleroom.announce(await world.variant(1))
    ada, bob = await world.person(), await world.person()
    await saleroom.bid(auction, ada, 4_000)
    await saleroom.bid(auction, bob, 3_000)
    async with world.redis.pubsub(ignore_subscribe_messages=True) as ears:
        await ears.subscribe(user_channel(ada), user_channel(bob))
        await ears.get_message(timeout=1)
        await saleroom.sell(HOST, OpenAuction(id="o", auction_id=auction))
        heard: dict[str, str] = {}
        while len(heard) < 2:
            message = await ears.get_message(timeout=2)
            if message is not None:
                frame = msgspec.json.decode(message["data"], type=Standing)
                heard[message["channel"].decode()] = frame.standing.state
    assert heard == {user_channel(ada): "leading", user_channel(bob): "outbid"}


async def test_two_workers_make_one_offer(saleroom: Saleroom) -> None:
    world = saleroom.world
    other = checkout(world.pool, world.redis, world.provider)
    auction = await saleroom.opened(await world.variant(1))
    ada = await world.person()
    await saleroom.bid(auction, ada, 2_000)
    await saleroom.past_hammer(auction)
    await asyncio.gather(*(shop.auctioneer.run() for shop in (world.checkout, other) * 3))
    await world.queue.idle()
    assert len(await saleroom.offers(auction)) == 1


async def test_a_worker_that_dies_with_the_charge_is_followed_by_another(saleroom: Saleroom) -> None:
    world = saleroom.world
    lost: list[str] = []
    parts = auction_parts(
        world.pool, world.redis, world.gate, lambda order, _: lost.append(order), owner="dead", lease_s=0.01
    )
    auction = await saleroom.opened(await world.variant(1))
    ada = await world.person()
    await saleroom.bid(auction, ada, 2_000)
    await saleroom.past_hammer(auction)
    await parts.auctioneer.run()
    await parts.teller.close()
    assert await saleroom.offers(auction) == [(ada, 1_000, "charging")]
    await asyncio.sleep(0.05)
    assert await StaleCharges(world.payments, world.charger).run() == 1
    await saleroom.closed(auction)
    assert lost
    assert await saleroom.offers(auction) == [(ada, 1_000, "paid")]
    assert await saleroom.state(auction) == "sold"
    assert world.provider.charges == 1


async def test_bids_do_not_wait_for_valkey(saleroom: Saleroom) -> None:
    """With Valkey away bids are taken and answered; the room is told once it is back."""
    world = saleroom.world
    auction = await saleroom.opened(await world.variant(1))
    async with open_redis("redis://127.0.0.1:9", deadline_s=0.2) as nobody:
        cut_off = checkout(world.pool, nobody, world.provider)
        people = [await world.person() for _ in range(3)]
        async with asyncio.timeout(30):
            for n, who in enumerate(people):
                command = Bid(id="b", auction_id=auction, max_minor=2_000 + 1_000 * n)
                answer = await cut_off.selling.sell(world.show_id, Actor(UserId(who), None, "A"), command)
                assert answer.standing is not None
                assert answer.standing.state == "leading"
        await cut_off.teller.close()
    await world.pool.execute("UPDATE auctions SET updated_at = now() - interval '2 s'")
    assert await world.checkout.auctioneer.tell_untold() == 1
    newest = (await told(world))[-1]
    assert isinstance(newest, AuctionChanged)
    assert (newest.auction.bids, newest.auction.price_minor) == (3, 3_100)


async def test_money_that_cannot_be_asked_for_keeps_the_unit_for_the_winner(saleroom: Saleroom) -> None:
    """Without a definite answer nobody else is offered it, however often a worker looks."""
    world = saleroom.world
    variant = await world.variant(1)
    auction = await saleroom.opened(variant)
    ada, bob = await world.person(), await world.person()
    await saleroom.bid(auction, ada, 5_000)
    await saleroom.bid(auction, bob, 2_000)
    world.provider.lose = 1
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(ada, 2_100, "charging")]
    assert await world.stock_of(variant) == (0, 1, 0)
    await world.pool.execute("UPDATE payment_attempts SET lease_until = now() - interval '1 s'")
    await StaleCharges(world.payments, world.charger).run()
    await saleroom.closed(auction)
    assert await saleroom.offers(auction) == [(ada, 2_100, "paid")]
    assert len(world.provider.intents) == 1
