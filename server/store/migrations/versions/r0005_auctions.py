"""Auctions: one unit each, and a book of bids that is only ever added to."""

from server.store.migrations.script import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql(__file__, "0005_auctions.sql")
