"""PostgreSQL through asyncpg, SQL you can read, typed rows; and the inventory gate in Redis."""
