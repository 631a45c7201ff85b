"""What a revision needs: its SQL file run whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op


def run_sql(revision_file: str, name: str) -> None:
    """Run the statements of `name`, which lies beside the revision, in the migration's transaction.

    The dialect prepares each statement and a prepared statement holds one command, so the file goes to
    asyncpg's simple protocol directly.
    """
    sql = Path(revision_file).with_name(name).read_text()
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))
