"""The database's schema, one SQL file a revision, in the order they were made."""
