"""A refund that came to nothing is begun again."""

from server.store.migrations.script import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql(__file__, "0007_refund_repeats.sql")
