"""The shop's ground: people, catalogue, stock, shows, orders, money."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0001_ground.sql").read_text())
