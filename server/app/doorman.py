"""Who may enter a room: the holder of a ticket, or anybody where the show is public or known by its link."""

from __future__ import annotations

import asyncio
from uuid import UUID

from overlay.frames import ShowId, UserId
from overlay.ports import GUEST, Actor, Refusal, Visit
from server.store import shows
from server.store.pool import ACQUIRE_TIMEOUT_S, Pool
from server.tickets import RoomTicket, Tickets


class TicketDoorman:
    """`overlay.ports.Doorman` over Redis tickets and the shows in PostgreSQL.

    A store that does not answer raises its own error: the client is told to come back, not that it may not.
    """

    def __init__(self, pool: Pool, tickets: Tickets) -> None:
        self._pool, self._tickets = pool, tickets

    async def admit(self, show_id: str, ticket: str | None) -> Visit:
        if ticket is None:
            return await self._guest(show_id)
        return await self._holder(show_id, ticket)

    async def _holder(self, show_id: str, ticket: str) -> Visit:
        held: RoomTicket | None = await self._tickets.redeem_room(ticket)
        if held is None or held.show_id != show_id:
            raise Refusal(
                "bad_ticket", "The ticket is spent, too old or for another show. Ask for a new one."
            )
        user = UserId(held.user_id) if held.user_id else None
        return Visit(ShowId(show_id), Actor(user, held.session_id, held.name, frozenset(held.roles)))

    async def _guest(self, show_id: str) -> Visit:
        show = await self._show(show_id)
        if show is None:
            raise Refusal("no_such_show", "There is no such show.")
        if show.visibility == "invited":
            raise Refusal("ticket_needed", "This show is by invitation. Open it with the link you were sent.")
        return Visit(ShowId(show_id), GUEST)

    async def _show(self, show_id: str) -> shows.Show | None:
        try:
            UUID(show_id)
        except ValueError:
            return None
        async with asyncio.timeout(ACQUIRE_TIMEOUT_S), self._pool.acquire() as connection:
            return await shows.show(connection, show_id)
