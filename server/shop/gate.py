"""What the gate in front of the stock answers. It only keeps the crowd from PostgreSQL, which decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from server.shop.allocation import LineRefused


@dataclass(frozen=True, slots=True)
class Held:
    """The units are held for the order. `again`: they were before (the same tap repeated). `position`: in a
    drop, which one of its taps this was."""

    again: bool = False
    position: int | None = None


@dataclass(frozen=True, slots=True)
class GateClosed:
    """These variants must be loaded from PostgreSQL first."""

    variant_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateRefused:
    lines: tuple[LineRefused, ...]

    @property
    def by_count(self) -> bool:
        """Only for what the buyer has already. Stock mends itself in the gate, that count does not: where
        nobody told it of a refund, PostgreSQL would say yes."""
        return all(line.code == "buyer_limit" for line in self.lines)


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


class SaleTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What else the gate must know to turn the crowd away; `text` is how it is kept there (inventory.lua).

    `opens_ms` of the drop in Unix ms; `flash_limit` units a buyer while the flash price runs; `waiting`:
    people wait for the variant, so nobody of the crowd gets a unit.
    """

    drop_id: str = msgspec.field(default="", name="d")
    opens_ms: int = msgspec.field(default=0, name="o")
    flash_id: str = msgspec.field(default="", name="f")
    flash_limit: int = msgspec.field(default=0, name="n")
    flash_ends_ms: int = msgspec.field(default=0, name="e")
    waiting: bool = msgspec.field(default=False, name="w")

    def text(self) -> str:
        return "" if self == PLAIN else msgspec.json.encode(self).decode()


PLAIN = SaleTerms()


@dataclass(frozen=True, slots=True)
class GateVariant:
    """`changes` moves whenever the variant does."""

    available: int
    buyer_limit: int
    changes: str
    terms: str = ""


@dataclass(frozen=True, slots=True)
class GateView:
    """All that the gate believes of one shop. `closed`: changes of variants that it has no number for."""

    variants: dict[str, GateVariant]
    orders: dict[str, GateRecord]
    closed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StockRow:
    """A variant's stock in PostgreSQL. `version` grows with each change, `position` is its drop's last."""

    variant_id: str
    available: int
    buyer_limit: int
    version: int
    terms: SaleTerms = PLAIN
    position: int = 0


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is charging: its units are held in PostgreSQL. `flashes`: flash prices by variant."""

    order_id: str
    buyer: str
    lines: tuple[tuple[str, int], ...]
    flashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StockTruth:
    """PostgreSQL's view at one moment: what the gate should be like."""

    rows: tuple[StockRow, ...]
    open_orders: tuple[OpenOrder, ...]
    states: dict[str, str]  # of the order ids that were asked for, where they exist
    # variant, buyer, units; for variants with a limit. The buyer is "buyer|flash" for units at a flash price.
    bought: tuple[tuple[str, str, int], ...]


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
