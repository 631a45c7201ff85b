"""Refunds made at the provider, refunds that were returned, refunds of many orders by one wish."""

from server.store.migrations.script import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql(__file__, "0008_money_back.sql")
