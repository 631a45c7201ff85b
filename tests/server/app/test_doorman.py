"""Who may enter a room, against the real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from overlay.log import open_redis
from overlay.ports import Refusal
from server.app.doorman import TicketDoorman
from server.store import shows, staff
from server.store.pool import Pool, open_pool, transaction
from server.tickets import RoomTicket, Tickets


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(migrated_database_url, max_size=2) as opened:
        yield opened


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url, connections=4)
    yield client
    await client.aclose()


async def a_show(pool: Pool, visibility: str) -> str:
    async with transaction(pool) as db:
        shop = await staff.the_shop(db) or await staff.add_shop(db, "Shop")
        made = await shows.add_show(db, shop.id, "A show", datetime.now(UTC), visibility=visibility)
    return made.id


async def test_anybody_enters_a_public_show_as_a_guest(pool: Pool, redis: Redis) -> None:
    show_id = await a_show(pool, shows.PUBLIC)
    visit = await TicketDoorman(pool, Tickets(redis)).admit(show_id, None)
    assert (visit.show_id, visit.actor.user_id, visit.actor.roles) == (show_id, None, frozenset())


async def test_a_show_by_invitation_wants_a_ticket(pool: Pool, redis: Redis) -> None:
    show_id = await a_show(pool, shows.INVITED)
    with pytest.raises(Refusal) as refused:
        await TicketDoorman(pool, Tickets(redis)).admit(show_id, None)
    assert refused.value.code == "ticket_needed"


@pytest.mark.parametrize("show_id", ["01a201d7-e6d2-77bd-a92d-4a704e09df63", "no uuid", ""])
async def test_a_show_that_is_not_there_is_named(show_id: str, pool: Pool, redis: Redis) -> None:
    with pytest.raises(Refusal) as refused:
        await TicketDoorman(pool, Tickets(redis)).admit(show_id, None)
    assert refused.value.code == "no_such_show"


async def test_a_ticket_lets_in_once_and_for_its_own_show(pool: Pool, redis: Redis) -> None:
    tickets = Tickets(redis)
    doorman = TicketDoorman(pool, tickets)
    held = RoomTicket("show-1", "user-1", "session-1", "Vera", ("moderator",))
    token = await tickets.issue(held)
    visit = await doorman.admit("show-1", token)
    assert (visit.actor.user_id, visit.actor.name, visit.actor.roles) == ("user-1", "Vera", {"moderator"})
    for wrong in (token, await tickets.issue(held)):
        with pytest.raises(Refusal) as refused:
            await doorman.admit("show-2", wrong)
        assert refused.value.code == "bad_ticket"
