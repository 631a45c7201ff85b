"""The webhooks about a payment are found by it."""

from server.store.migrations.script import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(__file__, "0006_trail.sql")
