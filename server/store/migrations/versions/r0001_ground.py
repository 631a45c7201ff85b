"""The shop's ground: people, catalogue, stock, shows, orders, money."""

from server.store.migrations.script import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(__file__, "0001_ground.sql")
