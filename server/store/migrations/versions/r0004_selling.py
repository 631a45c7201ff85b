"""Flash prices, drops and waitlists."""

from server.store.migrations.script import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql(__file__, "0004_selling.sql")
