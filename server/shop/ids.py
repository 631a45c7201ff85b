"""Ids cross rooms as plain strings (canonical UUIDs); these names keep them apart inside the shop."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

ShopId = NewType("ShopId", str)
ShowId = NewType("ShowId", str)
UserId = NewType("UserId", str)
OrderId = NewType("OrderId", str)
VariantId = NewType("VariantId", str)
ProductId = NewType("ProductId", str)


def canonical(text: str) -> str | None:
    """The id as it is stored (lower case, with dashes), or None where `text` is no UUID."""
    try:
        return str(UUID(text))
    except (ValueError, AttributeError):
        return None
