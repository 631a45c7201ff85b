"""A refund may put the order's units back on sale."""

from server.store.migrations.script import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(__file__, "0002_restock.sql")
