"""Ids cross rooms as plain strings (canonical UUIDs); these names keep them apart inside the shop."""

from __future__ import annotations

import re
from typing import NewType
from uuid import UUID

ShopId = NewType("ShopId", str)
ShowId = NewType("ShowId", str)
UserId = NewType("UserId", str)
OrderId = NewType("OrderId", str)
VariantId = NewType("VariantId", str)


_CANONICAL = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def canonical(text: str) -> str | None:
    """The id as it is stored (lower case, with dashes), or None where `text` is no UUID."""
    if isinstance(text, str) and _CANONICAL(text):
        return text
    try:
        return str(UUID(text))
    except (ValueError, AttributeError):
        return None
