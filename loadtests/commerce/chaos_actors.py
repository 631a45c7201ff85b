"""What people do while everything breaks: buyers tap, confirm, cancel, try another card; staff refund.

An actor is a coroutine function of the stage; all actors of a run are in ACTORS and run at once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from loadtests.commerce.books import Told
from loadtests.commerce.chaos_client import GIVE_UP_S, Answer, Client, NotAnswered, Provider
from loadtests.commerce.shop import BenchShop

PROVIDER_ACTS = 14


@dataclass
class Stage:
    """One run's shop and people, and what came of what they did. `random` decides all that is chance.

    The first of the `bidders` holds the auction; `bids` are those that were told to be accepted.
    """

    shop: BenchShop
    variants: list[str]
    buyers: list[Client]
    bidders: list[Client]
    staff: Client
    provider: Provider
    random: random.Random
    taps_each: int
    within_s: float
    answers: list[Answer] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    bids: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    def told(self) -> list[Told]:
        return [Told(answer.order_id, answer.state is not None) for answer in self.answers]


Actor = Callable[[Stage], Coroutine[None, None, None]]


async def buyers(stage: Stage) -> None:
    """Everybody taps some times within the run, and does something about each order."""
    async with asyncio.TaskGroup() as tasks:
        for client in stage.buyers:
            tasks.create_task(_buyer(stage, client))


async def _buyer(stage: Stage, client: Client) -> None:
    for _ in range(stage.taps_each):
        await asyncio.sleep(stage.random.uniform(0, 2 * stage.within_s / stage.taps_each))
        try:
            answer = await client.tap(_lines(stage))
        except NotAnswered as error:
            stage.unanswered.append(str(error))
            continue
        stage.answers.append(answer)
        stage.did[f"told {answer.refused or answer.state}"] += 1
        if answer.state is not None:
            await _go_on(stage, client, answer.order_id)


def _lines(stage: Stage) -> list[dict[str, Any]]:
    chosen = stage.random.sample(stage.variants, stage.random.choice((1, 1, 1, 2)))
    return [
        {
            "variant_id": variant,
            "quantity": stage.random.choice((1, 1, 2)),
            "unit_price_minor": stage.shop.price_minor,
        }
        for variant in chosen
    ]


async def _go_on(stage: Stage, client: Client, order_id: str) -> None:
    """Look at the order for a moment, and react to what it has become."""
    order: dict[str, Any] = {}
    for _ in range(8):
        order = await client.ask("GET", f"/api/orders/{order_id}", within_s=3)
        if order.get("state") != "charging":
            break
        await asyncio.sleep(0.25)
    match order.get("state"):
        case "action_needed":
            await _confirm(stage, client, order_id, order.get("client_secret") or "")
        case "declined" if stage.random.random() < 0.6:
            await _second_card(stage, client, order_id)
        case "paid" if stage.random.random() < 0.35:
            await _refund(stage, order_id, order["total_minor"])


async def _confirm(stage: Stage, client: Client, order_id: str, secret: str) -> None:
    """3-D Secure: approved, refused, raced by a cancel, or left alone until the deadline."""
    way = stage.random.choices(("approve", "refuse", "race", "leave", "no_return"), (35, 15, 25, 10, 15))[0]
    stage.did[f"3-D Secure {way}"] += 1
    authenticated, cancel = f"/api/orders/{order_id}/authenticated", f"/api/orders/{order_id}/cancel"
    if way == "race":
        await asyncio.gather(
            client.authenticate(secret, "approve"),
            client.ask("POST", cancel, {}),
            client.ask("POST", cancel, {}),
        )
    elif way != "leave":
        await client.authenticate(secret, "refuse" if way == "refuse" else "approve")
    if way in ("approve", "refuse"):
        await client.ask("POST", authenticated, {})


async def _second_card(stage: Stage, client: Client, order_id: str) -> None:
    cards = (await client.ask("GET", "/api/me/cards")).get("cards", [])
    if cards:
        stage.did["second card"] += 1
        card = stage.random.choice(cards)["id"]
        path, times = f"/api/orders/{order_id}/retry", stage.random.choice((1, 1, 2))
        await asyncio.gather(*(client.ask("POST", path, {"card_id": card}) for _ in range(times)))


async def _refund(stage: Stage, order_id: str, total_minor: int) -> None:
    """In full or in part; sometimes by two people at once, which together would be too much."""
    part = stage.random.choice((total_minor, total_minor, total_minor // 2, total_minor // 3))
    path = f"/api/staff/orders/{order_id}/refund"
    asked = [
        {"amount_minor": part, "reason": "chaos", "id": str(uuid4()), "restock": stage.random.random() < 0.5}
        for _ in range(stage.random.choice((1, 1, 2)))
    ]
    stage.did["refund"] += len(asked)
    await asyncio.gather(*(stage.staff.ask("POST", path, body) for body in asked))


async def stock_counter(stage: Stage) -> None:
    """A producer who counts again while it sells."""
    for _ in range(4):
        await asyncio.sleep(stage.within_s / 4)
        variant = stage.random.choice(stage.variants)
        body = {"available": stage.random.randrange(5, 25)}
        await stage.staff.ask("PUT", f"/api/staff/variants/{variant}/stock", body)
        stage.did["stock set"] += 1


async def auction(stage: Stage) -> None:
    """One unit goes under the hammer; what each bid was told is kept, by its id."""
    host, *people = stage.bidders
    terms = {
        "start_minor": 100,
        "increment_minor": 100,
        "duration_s": 10,
        "extension_s": 2,
        "max_extension_s": 4,
    }
    announce = {"type": "announce_auction", "variant_id": stage.variants[0], **terms}
    if await host.command(announce, within_s=GIVE_UP_S) is None:
        stage.unanswered.append("announce_auction")
        return
    path = f"/api/staff/shows/{stage.shop.show_id}/auctions"
    known = (await stage.staff.ask("GET", path, within_s=GIVE_UP_S)).get("auctions")
    if not known:
        stage.unanswered.append("announced auction")
        return
    auction_id = known[0]["auction"]["auction_id"]
    if await host.command({"type": "open_auction", "auction_id": auction_id}, within_s=GIVE_UP_S) is None:
        stage.unanswered.append("open_auction")
        return
    await asyncio.gather(*(_bid(stage, person, auction_id) for person in people))


async def _bid(stage: Stage, person: Client, auction_id: str) -> None:
    """Until the hammer has fallen for this bidder."""
    for step in range(1, 40):
        bid_id = str(uuid4())
        most = 100 * (step * len(stage.bidders) + stage.random.randrange(len(stage.bidders)))
        offer = {"type": "bid", "id": bid_id, "auction_id": auction_id, "max_minor": most}
        answer = await person.command(offer, within_s=GIVE_UP_S)
        if answer is None:
            stage.unanswered.append(bid_id)
            return
        stage.did[f"bid {answer.get('code', 'accepted')}"] += 1
        if answer["type"] == "ack":
            stage.bids.append(bid_id)
        elif answer["code"] == "auction_closed":
            return
        await asyncio.sleep(stage.random.uniform(0.2, 0.8))


async def provider_side(stage: Stage) -> None:
    """Somebody gives money back in the provider's dashboard, and banks send refunds back."""
    for _ in range(PROVIDER_ACTS):
        await asyncio.sleep(2 * stage.within_s / PROVIDER_ACTS * stage.random.random())
        intents = await stage.provider.payments()
        paid = [one for one in intents if one["amount_received"] > _given(one)]
        given = [r["id"] for one in intents for r in one["refunds"] if r["status"] == "succeeded"]
        if given and stage.random.random() < 0.4:
            await stage.provider.act("/_bank/returns", refund=stage.random.choice(given))
            stage.did["refund returned"] += 1
        elif paid:
            one = stage.random.choice(paid)
            amount = stage.random.randint(1, one["amount_received"] - _given(one))
            await stage.provider.act("/_dashboard/refunds", payment_intent=one["id"], amount=str(amount))
            stage.did["dashboard refund"] += 1


def _given(intent: dict[str, Any]) -> int:
    return sum(refund["amount"] for refund in intent["refunds"] if refund["status"] != "failed")


async def recall(stage: Stage) -> None:
    """In the middle of it all, everybody who has paid gets the money back."""
    await asyncio.sleep(stage.within_s * stage.random.uniform(0.4, 0.6))
    body = {"id": str(uuid4()), "show_id": stage.shop.show_id, "reason": "recall", "restock": True}
    run = await stage.staff.ask("POST", "/api/staff/refund-runs", body, within_s=GIVE_UP_S)
    if "id" not in run:
        stage.unanswered.append("recall")
    stage.did["recall"] += 1


ACTORS: list[Actor] = [buyers, stock_counter, auction, provider_side, recall]
