"""Stock movements and payments are append-only and sealed into chains of hashes."""

from server.store.migrations.script import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(__file__, "0003_ledger.sql")
