"""What the gate in front of the stock answers. It only keeps the crowd from PostgreSQL, which decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from server.shop.allocation import LineRefused


@dataclass(frozen=True, slots=True)
class Held:
    """The units are held for the order. `again`: they were before (the same tap repeated)."""

    again: bool = False


@dataclass(frozen=True, slots=True)
class GateClosed:
    """These variants must be loaded from PostgreSQL first."""

    variant_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateRefused:
    lines: tuple[LineRefused, ...]


@dataclass(frozen=True, slots=True)
class GateReused:
    """The order id holds other lines, or another buyer's."""


GateAnswer = Held | GateClosed | GateRefused | GateReused


@dataclass(frozen=True, slots=True)
class GateRecord:
    """An order as the gate knows it."""

    buyer: str
    state: Literal["held", "paying"]
    lines: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GateVariant:
    """`changes` moves whenever the variant does."""

    available: int
    buyer_limit: int
    changes: str


@dataclass(frozen=True, slots=True)
class GateView:
    """All that the gate believes of one shop. `closed`: changes of variants that it has no number for."""

    variants: dict[str, GateVariant]
    orders: dict[str, GateRecord]
    closed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StockRow:
    """A variant's stock in PostgreSQL. `version` grows with each change."""

    variant_id: str
    available: int
    buyer_limit: int
    version: int


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is charging: its units are held in PostgreSQL."""

    order_id: str
    buyer: str
    lines: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class StockTruth:
    """PostgreSQL's view at one moment: what the gate should be like."""

    rows: tuple[StockRow, ...]
    open_orders: tuple[OpenOrder, ...]
    states: dict[str, str]  # of the order ids that were asked for, where they exist
    bought: tuple[tuple[str, str, int], ...]  # variant, buyer, units; for variants with a limit


@dataclass(frozen=True, slots=True)
class StockSet:
    """What the shop set, and by how much it moved; `version` as of the change."""

    available: int
    delta: int
    version: int


@dataclass(frozen=True, slots=True)
class VariantOnAir:
    """A variant's numbers, and the shows not yet ended whose run-of-show it is in."""

    variant_id: str
    available: int
    version: int
    price_minor: int
    compare_at_minor: int | None
    show_ids: tuple[str, ...]
