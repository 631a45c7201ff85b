"""Producers say how long an offer stands."""

from server.store.migrations.script import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql(__file__, "0009_offers.sql")
