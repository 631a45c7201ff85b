"""Secrets that are handed out once and kept only as a hash."""

from __future__ import annotations

import hashlib
import secrets


def new_token(prefix: str = "") -> str:
    """256 random bits, URL-safe. A prefix says what it is when it turns up where it should not be."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """SHA-256: enough for a token of full entropy, where a password would need argon2."""
    return hashlib.sha256(token.encode()).digest()
