"""Product CSV files as Shopify writes them, both generations of headers: bytes in, products and faults out.

Old: `Handle, Title, Body (HTML), … Variant SKU, Variant Price`. New (2025): `URL handle, Title, Description,
… SKU, Price`. A product's first row carries its text; more rows with its handle are variants or images.
Image addresses are never fetched: the server asks no address that a file names (SSRF); each is reported once.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from html.parser import HTMLParser

from server.currency import decimals, step_minor

MOST_ROWS = 20_000
_MOST_MINOR = 99_999_999
_MOST_STOCK = 1_000_000

_COLUMNS: Mapping[str, str] = {
    "handle": "handle",
    "url handle": "handle",
    "title": "title",
    "body (html)": "description",
    "description": "description",
    "vendor": "vendor",
    "tags": "tags",
    "status": "status",
    "published": "published",
    "published on online store": "published",
    "option1 value": "option1",
    "option2 value": "option2",
    "option3 value": "option3",
    "variant sku": "sku",
    "sku": "sku",
    "variant price": "price",
    "price": "price",
    "variant compare at price": "compare_at",
    "compare-at price": "compare_at",
    "variant inventory qty": "quantity",
    "inventory quantity": "quantity",
    "image src": "image",
    "product image url": "image",
    "image alt text": "image_alt",
}


class NotACsv(Exception):
    """The file as a whole can't be read; says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line (1 is the header)."""

    line: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportedVariant:
    line: int
    title: str
    sku: str
    price_minor: int
    compare_at_minor: int | None
    available: int | None  # None: the file doesn't say


@dataclass(slots=True)
class ImportedProduct:
    line: int
    handle: str
    title: str
    description: str
    vendor: str
    tags: tuple[str, ...]
    state: str
    variants: list[ImportedVariant] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Parsed:
    products: tuple[ImportedProduct, ...]
    faults: tuple[Fault, ...]


class _Faulty(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def parse(raw: bytes, currency: str) -> Parsed:
    """Products, with every line that could not be used named. Raises NotACsv."""
    lines = _lines(raw)
    columns = _columns(next(lines, (0, []))[1])
    reader = _Reader(currency)
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if line > MOST_ROWS:
            raise NotACsv(f"The file has more than {MOST_ROWS:,} lines. Split it.")
        reader.take(line, {name: cells[n].strip() for n, name in columns.items() if n < len(cells)})
    return reader.parsed()


def _lines(raw: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise NotACsv(f"Line {line} is not UTF-8 text. Save the file as CSV UTF-8.") from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise NotACsv(f"Line {line} has a NUL character: this is no text file.")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in rows:
            yield rows.line_num, cells
    except csv.Error as error:
        raise NotACsv(f"Line {rows.line_num} is no CSV: {error}.") from None


def _columns(header: list[str]) -> dict[int, str]:
    columns = {
        n: _COLUMNS[name] for n, cell in enumerate(header) if (name := cell.strip().lower()) in _COLUMNS
    }
    missing = {"handle", "title", "price"} - set(columns.values())
    if missing:
        wanted = ", ".join(sorted(_SHOWN[name] for name in missing))
        raise NotACsv(f"Line 1 has no column {wanted}. The first line names the columns, as Shopify does.")
    return columns


_SHOWN = {"handle": "'Handle' (or 'URL handle')", "title": "'Title'", "price": "'Variant Price' (or 'Price')"}


class _Reader:
    """Collects rows into products. A fault spoils its row; a product without a variant left is dropped."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._products: dict[str, ImportedProduct] = {}
        self._faults: list[Fault] = []

    def take(self, line: int, row: dict[str, str]) -> None:
        try:
            product = self._product(line, row)
            self._variant(line, row, product)
        except _Faulty as fault:
            self._faults.append(Fault(line, fault.code, fault.detail))
        if row.get("image"):
            self._faults.append(
                Fault(line, "image_not_fetched", "Images are not fetched from addresses: upload them here.")
            )

    def parsed(self) -> Parsed:
        for product in self._products.values():
            if not product.variants and not any(f.line == product.line for f in self._faults):
                self._faults.append(Fault(product.line, "no_variant", "No line of the product has a price."))
        usable = tuple(product for product in self._products.values() if product.variants)
        return Parsed(usable, tuple(sorted(self._faults, key=lambda fault: fault.line)))

    def _product(self, line: int, row: dict[str, str]) -> ImportedProduct:
        handle = _handle(row.get("handle", ""))
        if handle in self._products:
            return self._products[handle]
        title = row.get("title", "")
        if not title:
            raise _Faulty("no_title", f"The first line of '{handle}' has no title.")
        self._products[handle] = ImportedProduct(
            line=line,
            handle=handle,
            title=title[:200],
            description=plain_text(row.get("description", ""))[:20_000],
            vendor=row.get("vendor", "")[:200],
            tags=tuple(tag.strip()[:60] for tag in row.get("tags", "").split(",") if tag.strip())[:50],
            state=_state(row),
        )
        return self._products[handle]

    def _variant(self, line: int, row: dict[str, str], product: ImportedProduct) -> None:
        if not row.get("price"):
            if row.get("sku") or row.get("option1"):
                raise _Faulty("no_price", "The variant has no price.")
            return
        variant = ImportedVariant(
            line=line,
            title=_variant_title(row),
            sku=row.get("sku", "").lstrip("'")[:100],
            price_minor=minor(row["price"], self._currency),
            compare_at_minor=minor(row["compare_at"], self._currency) if row.get("compare_at") else None,
            available=_quantity(row.get("quantity", "")),
        )
        if any(known.title == variant.title for known in product.variants):
            raise _Faulty("duplicate_variant", f"'{variant.title}' is there twice in '{product.handle}'.")
        product.variants.append(variant)


def _handle(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9À-￿][A-Za-z0-9À-￿_-]{0,199}", text):
        raise _Faulty("bad_handle", f"'{text[:60]}' is no handle: letters, digits and hyphens.")
    return text.lower()


def _state(row: dict[str, str]) -> str:
    status = row.get("status", "").lower()
    if status in ("draft", "archived"):
        return status
    return "draft" if row.get("published", "").lower() == "false" else "active"


def _variant_title(row: dict[str, str]) -> str:
    options = [row.get(name, "") for name in ("option1", "option2", "option3")]
    title = " / ".join(option for option in options if option)
    return "" if title == "Default Title" else title[:200]


def _quantity(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise _Faulty("bad_quantity", f"'{text[:40]}' is no whole number of units.")
    return min(max(int(text), 0), _MOST_STOCK)  # Shopify writes negative numbers for oversold stock


def minor(text: str, currency: str) -> int:
    """`12.50` → 1250 for EUR, `1250` → 1250 for JPY."""
    try:
        amount = Decimal(text).scaleb(decimals(currency))
    except InvalidOperation:
        raise _Faulty("bad_price", f"'{text[:40]}' is no price such as 12.50.") from None
    if not amount.is_finite() or amount < 0 or amount > _MOST_MINOR:
        raise _Faulty("bad_price", f"'{text[:40]}' is out of range.")
    if amount % step_minor(currency):
        raise _Faulty("bad_price", f"'{text[:40]}' has more decimals than {currency} has.")
    return int(amount)


class _Text(HTMLParser):
    _BREAKS = frozenset({"p", "br", "li", "div", "h1", "h2", "h3", "h4", "tr", "ul", "ol"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style")
        if tag in self._BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style") and self._silent > 0

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def plain_text(html: str) -> str:
    """What the HTML says, without any of it."""
    reader = _Text()
    reader.feed(html)
    reader.close()
    lines = (re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
