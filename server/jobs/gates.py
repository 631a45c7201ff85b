"""Keeps the gates true to PostgreSQL, for every shop that sells right now or has lately."""

from __future__ import annotations

from server.checkout.gatekeeper import Gatekeeper
from server.store.database import Database
from server.store.outbox import exclusive
from server.store.pool import Pool
from server.store.stock import StockStore


class GateMender:
    """One process at a time: two would undo each other's look. Ends what outlived its hold, too."""

    def __init__(self, pool: Pool, stock: StockStore, gatekeeper: Gatekeeper) -> None:
        self._database, self._stock, self._gatekeeper = Database(pool), stock, gatekeeper

    async def run(self) -> int:
        """How many corrections were made: in a shop where nothing crashed, none."""
        async with exclusive(self._database, "gates") as mine:
            if mine is None:
                return 0
            return sum([await self._gatekeeper.mend(shop) for shop in await self._stock.shops_on_air()])
