"""An independent reader of the books: what every buyer was charged, where every unit is.

It shares no code with the path it checks: plain SELECTs, sums of its own, and where there is one the
payment provider's own list (the simulator's `/v1/_audit`). It holds one shop's orders in memory; `hawker
verify` is the streaming check for production.

    python -m loadtests.commerce.books --database-url URL --json
        [--provider URL --provider-key KEY] [--taps FILE]

Exit code 0: no violation. 1: violations, listed on stdout. With `--json` stdout has one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

OPEN = {"charging", "action_needed"}
KEPT = {"paid", "fulfilled"}
TAKEN = KEPT | {"refunded"}  # a bank may return refunds
ENDED_BADLY = {"declined", "cancelled"}
OFFERS = {"offer", "offer_back"}
AUCTIONED = {"auction", "auction_back", "award", "award_back"}
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Violation:
    """`kind` is stable: oversell, stock_broken, order_stock, double_charge, paid_without_charge,
    charge_without_order, wrong_amount, over_refund, refund_mismatch, buyer_limit, buyer_charges, lost_order,
    phantom_order, stuck, ledger. `subject` names the row.
    """

    kind: str
    subject: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a tap was told at last: `accepted` means that an order was acknowledged."""

    order_id: str
    accepted: bool


@dataclass(slots=True)
class Intent:
    """What the provider has of one payment intent, in minor units."""

    id: str
    order_id: str | None
    customer: str | None
    received: int
    refunded: int

    @property
    def kept(self) -> int:
        return self.received - self.refunded


@dataclass(slots=True)
class Books:
    """The database as it was at one moment, and what the provider says."""

    orders: dict[str, dict[str, Any]]
    lines: dict[str, list[dict[str, Any]]]
    refunds: dict[str, list[dict[str, Any]]]
    variants: dict[str, dict[str, Any]]
    stock: dict[str, tuple[int, int, int]]
    movements: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    customers: dict[str, str]
    payments: list[dict[str, Any]]
    offers: list[dict[str, Any]]
    auctions: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    intents: list[Intent] | None = None
    told: list[Told] = field(default_factory=list)

    def restocked(self, order_id: str) -> bool:
        """Whether a refunded order's units went back on sale."""
        return any(refund["restock"] for refund in self.refunds[order_id])


async def read_books(
    database_url: str,
    *,
    provider_audit: Any | None = None,
    told: Iterable[Told] = (),
    at_rest: bool = True,
) -> list[Violation]:
    """Every violation in one consistent reading of the database.

    `provider_audit`: the simulator's answer to `GET /v1/_audit`, or its list of payment intents; without it
    money is checked inside the database only. `told`: the last answer each tap got. `at_rest`: nothing is
    under way any more, so whatever is still open is stuck, and both sides' refunds must agree.
    """
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=TIMEOUT_S)
    try:
        books = await open_books(connection)
    finally:
        await connection.close()
    if provider_audit is not None:
        books.intents = list(intents_of(provider_audit))
    books.told = list(told)
    return violations(books, at_rest=at_rest)


def violations(books: Books, *, at_rest: bool) -> list[Violation]:
    """What is wrong with the books, the stock first."""
    found = [
        *_stock(books),
        *_off_sale(books),
        *_orders(books),
        *_limits(books),
        *_answers(books),
        *_ledger(books),
    ]
    if books.intents is not None:
        found += [*_charges(books, at_rest), *_buyers(books, at_rest)]
    if at_rest:
        found += _stuck(books)
    return found


# Reading

_TABLES = {
    "orders": "SELECT id::text, user_id::text, state, subtotal_minor, shipping_minor, total_minor,"
    " refunded_minor, owed_minor, payment_intent_ref FROM orders",
    "lines": "SELECT order_id::text, variant_id::text, quantity, unit_price_minor FROM order_lines",
    "refunds": "SELECT id::text, order_id::text, payment_intent_ref, refund_ref, amount_minor, state,"
    " restock, at_provider FROM refunds",
    "runs": "SELECT id::text, done_at IS NULL AS open FROM refund_runs",
    "variants": "SELECT id::text, buyer_limit FROM variants",
    "stock": "SELECT variant_id::text, available, held, sold FROM stock",
    "movements": "SELECT id, variant_id::text, kind, available_delta, held_delta, sold_delta,"
    " order_id::text FROM stock_movements ORDER BY id",
    "attempts": "SELECT order_id::text, attempt, state FROM payment_attempts",
    "payments": "SELECT id, order_id::text, kind, payment_intent_ref, refund_ref, amount_minor FROM payments",
    "offers": "SELECT variant_id::text, offered FROM waitlist WHERE state = 'offered'",
    "auctions": "SELECT variant_id::text, state FROM auctions"
    " WHERE state NOT IN ('sold', 'unsold', 'cancelled')",
    "customers": "SELECT user_id::text, customer_ref FROM payment_customers",
}


async def open_books(connection: Connection) -> Books:
    """All that is looked at, as of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = {name: [dict(r) for r in await connection.fetch(sql)] for name, sql in _TABLES.items()}
    return Books(
        orders={row["id"]: row for row in rows["orders"]},
        lines=_grouped(rows["lines"]),
        refunds=_grouped(rows["refunds"]),
        variants={row["id"]: row for row in rows["variants"]},
        stock={row["variant_id"]: (row["available"], row["held"], row["sold"]) for row in rows["stock"]},
        movements=rows["movements"],
        attempts=rows["attempts"],
        customers={row["customer_ref"]: row["user_id"] for row in rows["customers"]},
        payments=rows["payments"],
        offers=rows["offers"],
        auctions=rows["auctions"],
        runs=rows["runs"],
    )


def _grouped(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["order_id"]].append(row)
    return grouped


def intents_of(audit: Any) -> Iterator[Intent]:
    """The simulator's `/v1/_audit`, or its list of payment intents, as far as the books need it."""
    raw = audit["payment_intents"] if isinstance(audit, Mapping) else audit
    for intent in raw:
        gone = {"failed", "canceled"}
        yield Intent(
            intent["id"],
            (intent.get("metadata") or {}).get("order"),
            intent.get("customer"),
            intent["amount_received"] if intent["status"] == "succeeded" else 0,
            sum(refund["amount"] for refund in intent["refunds"] if refund.get("status") not in gone),
        )


# Stock


def _stock(books: Books) -> Iterator[Violation]:
    """Each variant three ways: the stock row, its movements, the orders."""
    moved: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    put_on_sale: Counter[str] = Counter()
    for m in books.movements:
        places = moved[m["variant_id"]]
        for n, name in enumerate(("available_delta", "held_delta", "sold_delta")):
            places[n] += m[name]
        if places[0] < 0 or places[1] < 0 or places[2] < 0:
            yield Violation("oversell", f"stock_movements {m['id']}", "no place below zero", str(places))
        if m["kind"] == "set":
            put_on_sale[m["variant_id"]] += m["available_delta"]
    held, sold = _units(books)
    for variant in sorted(books.stock.keys() | moved.keys() | held.keys() | sold.keys()):
        row, sums = books.stock.get(variant, (0, 0, 0)), tuple(moved[variant])
        if row != sums:
            yield Violation("stock_broken", f"stock {variant}", f"its movements' sums {sums}", str(row))
        if (held[variant], sold[variant]) != row[1:]:
            expected = f"held {held[variant]}, sold {sold[variant]} (orders and offers)"
            yield Violation("stock_broken", f"stock {variant}", expected, f"held {row[1]}, sold {row[2]}")
        if held[variant] + sold[variant] > put_on_sale[variant]:
            found = f"{held[variant] + sold[variant]} promised"
            yield Violation(
                "oversell", f"variant {variant}", f"at most {put_on_sale[variant]} put on sale", found
            )


def _off_sale(books: Books) -> Iterator[Violation]:
    """A unit is off sale for each auction that is up; for one being charged only between two winners."""
    off: Counter[str] = Counter()
    for m in books.movements:
        if m["kind"] in AUCTIONED:
            off[m["variant_id"]] -= m["available_delta"] + m["held_delta"]
    up, charging = (
        Counter(a["variant_id"] for a in books.auctions if (a["state"] == "charging") is charged)
        for charged in (False, True)
    )
    for variant in off.keys() | up.keys() | charging.keys():
        if not up[variant] <= off[variant] <= up[variant] + charging[variant]:
            expected = f"{up[variant]} off sale ({charging[variant]} more being charged)"
            yield Violation("stock_broken", f"auctions of {variant}", expected, str(off[variant]))


def _units(books: Books) -> tuple[Counter[str], Counter[str]]:
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for order_id, order in books.orders.items():
        for line in books.lines[order_id]:
            if order["state"] in OPEN:
                held[line["variant_id"]] += line["quantity"]
            elif order["state"] in KEPT or (order["state"] == "refunded" and not books.restocked(order_id)):
                sold[line["variant_id"]] += line["quantity"]
    for offer in books.offers:  # set aside for who is next on the waitlist
        held[offer["variant_id"]] += offer["offered"]
    return held, sold


# Orders


def _orders(books: Books) -> Iterator[Violation]:
    moved: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for m in books.movements:
        if m["order_id"] and m["kind"] not in OFFERS:
            moved[m["order_id"], m["variant_id"]][0] += m["held_delta"]
            moved[m["order_id"], m["variant_id"]][1] += m["sold_delta"]
    for order_id, order in books.orders.items():
        yield from _sums(books, order)
        for line in books.lines[order_id]:
            expected = _places(books, order, line["quantity"])
            found = tuple(moved.pop((order_id, line["variant_id"]), (0, 0)))
            if found != expected:
                subject = f"order {order_id}, variant {line['variant_id']}"
                yield Violation("order_stock", subject, f"(held, sold) = {expected}", str(found))
    for (order_id, variant), places in moved.items():
        if places != [0, 0]:
            yield Violation(
                "order_stock", f"order {order_id}, variant {variant}", "no such line", str(places)
            )


def _places(books: Books, order: dict[str, Any], quantity: int) -> tuple[int, int]:
    if order["state"] in OPEN:
        return (quantity, 0)
    if order["state"] in ENDED_BADLY or (order["state"] == "refunded" and books.restocked(order["id"])):
        return (0, 0)
    return (0, quantity)


def _sums(books: Books, order: dict[str, Any]) -> Iterator[Violation]:
    subject = f"order {order['id']}"
    lines = sum(line["quantity"] * line["unit_price_minor"] for line in books.lines[order["id"]])
    if lines != order["subtotal_minor"]:
        yield Violation("wrong_amount", subject, f"subtotal {lines}", str(order["subtotal_minor"]))
    if order["subtotal_minor"] + order["shipping_minor"] != order["total_minor"]:
        yield Violation("wrong_amount", subject, "subtotal + shipping", str(order["total_minor"]))
    own = [r for r in books.refunds[order["id"]] if r["payment_intent_ref"] == order["payment_intent_ref"]]
    done = sum(r["amount_minor"] for r in own if r["state"] == "done")
    promised = sum(
        r["amount_minor"] for r in own if r["state"] in ("queued", "done") and not r["at_provider"]
    )
    if done != order["refunded_minor"]:
        yield Violation("refund_mismatch", subject, f"refunded {done}", str(order["refunded_minor"]))
    if promised > order["total_minor"]:
        yield Violation("over_refund", subject, f"at most {order['total_minor']}", str(promised))
    came_back = sum(r["amount_minor"] for r in books.refunds[order["id"]] if r["state"] == "returned")
    failed = sum(r["amount_minor"] for r in books.refunds[order["id"]] if r["state"] == "failed")
    if order["owed_minor"] > came_back + failed:
        expected = f"owed at most {came_back + failed}"
        yield Violation("refund_mismatch", subject, expected, str(order["owed_minor"]))
    if order["state"] == "refunded" and done + came_back < order["total_minor"]:
        yield Violation("refund_mismatch", subject, f"refunded {order['total_minor']}", str(done))
    if order["state"] in KEPT and order["payment_intent_ref"] is None:
        yield Violation("paid_without_charge", subject, "a payment", "none")


def _limits(books: Books) -> Iterator[Violation]:
    units: Counter[tuple[str, str]] = Counter()
    for order_id, order in books.orders.items():
        if order["user_id"] and order["state"] in OPEN | KEPT:
            for line in books.lines[order_id]:
                units[order["user_id"], line["variant_id"]] += line["quantity"]
    for (user, variant), bought in units.items():
        limit = books.variants[variant]["buyer_limit"]
        if limit and bought > limit:
            yield Violation("buyer_limit", f"user {user}, variant {variant}", f"at most {limit}", str(bought))


def _answers(books: Books) -> Iterator[Violation]:
    for told in books.told:
        order = books.orders.get(told.order_id)
        if told.accepted and order is None:
            yield Violation("lost_order", f"order {told.order_id}", "there, as its buyer was told", "absent")
        if not told.accepted and order is not None and order["state"] in OPEN | KEPT:
            yield Violation("phantom_order", f"order {told.order_id}", "refused", order["state"])


def _stuck(books: Books) -> Iterator[Violation]:
    for order in books.orders.values():
        if order["state"] in OPEN:
            yield Violation("stuck", f"order {order['id']}", "ended", order["state"])
    for a in books.attempts:
        if a["state"] in ("ready", "leased", "unknown", "action_needed"):
            yield Violation("stuck", f"attempt {a['order_id']}:{a['attempt']}", "decided", a["state"])
    for refunds in books.refunds.values():
        for refund in refunds:
            if refund["state"] == "queued":
                yield Violation("stuck", f"refund {refund['id']}", "carried out", "queued")
    for run in books.runs:
        if run["open"]:
            yield Violation("stuck", f"refund run {run['id']}", "done", "under way")


# Money


def _charges(books: Books, at_rest: bool) -> Iterator[Violation]:
    """Order and charge, both ways. Money that is on its way back is no violation before all is at rest."""
    of_order: dict[str, list[Intent]] = defaultdict(list)
    for intent in books.intents or ():
        if intent.refunded > intent.received:
            yield Violation("over_refund", intent.id, f"at most {intent.received}", str(intent.refunded))
        if intent.received and intent.order_id not in books.orders:
            if intent.kept:
                yield Violation("charge_without_order", intent.id, "an order", str(intent.order_id))
        elif intent.order_id:
            of_order[intent.order_id].append(intent)
    for order_id, order in books.orders.items():
        yield from _charged(books, order, of_order[order_id], at_rest)


def _charged(
    books: Books, order: dict[str, Any], intents: list[Intent], at_rest: bool
) -> Iterator[Violation]:
    subject = f"order {order['id']}"
    returning = set() if at_rest else {r["payment_intent_ref"] for r in books.refunds[order["id"]]}
    kept = [intent for intent in intents if intent.kept and intent.id not in returning]
    own = order["payment_intent_ref"]
    if order["state"] in TAKEN and order["total_minor"]:
        paid = next((intent for intent in intents if intent.id == own), None)
        if paid is None or not paid.received:
            yield Violation("paid_without_charge", subject, f"charge {own}", "none")
        elif paid.received != order["total_minor"]:
            yield Violation("wrong_amount", subject, f"charged {order['total_minor']}", str(paid.received))
        elif at_rest and paid.refunded != order["refunded_minor"]:
            yield Violation("refund_mismatch", subject, f"{order['refunded_minor']} back", str(paid.refunded))
    if len(kept) > 1:
        yield Violation("double_charge", subject, "one charge", ", ".join(i.id for i in kept))
    owed = {r["payment_intent_ref"] for r in books.refunds[order["id"]] if r["state"] == "returned"}
    others = [i for i in kept if (i.id != own or order["state"] not in KEPT) and i.id not in owed]
    undecided = order["state"] in OPEN and not at_rest
    if others and not undecided and len(kept) == 1:
        found = f"{others[0].id} keeps {others[0].kept}"
        yield Violation("charge_without_order", subject, f"no charge ({order['state']})", found)


def _buyers(books: Books, at_rest: bool) -> Iterator[Violation]:
    """What each buyer paid in all is what the buyer's orders cost."""
    if not at_rest:
        return
    owed: Counter[str] = Counter()
    for order in books.orders.values():
        if order["user_id"] and order["state"] in TAKEN:
            owed[order["user_id"]] += order["total_minor"] - order["refunded_minor"]
    paid: Counter[str] = Counter()
    for intent in books.intents or ():
        user = books.customers.get(intent.customer or "")
        if user:
            paid[user] += intent.kept
    for user in sorted(owed.keys() | paid.keys()):
        if owed[user] != paid[user]:
            yield Violation("buyer_charges", f"user {user}", f"{owed[user]} in all", str(paid[user]))


def _ledger(books: Books) -> Iterator[Violation]:
    """The database's own ledger of money against its orders and refunds."""
    charged: dict[str, list[dict[str, Any]]] = defaultdict(list)
    back: Counter[str] = Counter()
    for entry in books.payments:
        if entry["kind"] == "charge":
            charged[entry["payment_intent_ref"]].append(entry)
        else:
            sign = 1 if entry["kind"] == "refund" else -1
            back[entry["payment_intent_ref"]] += sign * entry["amount_minor"]
    yield from _returned(books)
    for ref, entries in charged.items():
        if len(entries) > 1 or back[ref] > entries[0]["amount_minor"]:
            found = f"{len(entries)} charges, {back[ref]} back"
            yield Violation("ledger", ref, f"one charge, at most {entries[0]['amount_minor']} back", found)
    for order in books.orders.values():
        if order["state"] in TAKEN:
            entries = charged.get(order["payment_intent_ref"], [])
            amounts = [entry["amount_minor"] for entry in entries]
            if amounts != [order["total_minor"]]:
                yield Violation("ledger", f"order {order['id']}", str([order["total_minor"]]), str(amounts))
            if back[order["payment_intent_ref"]] != order["refunded_minor"]:
                found = str(back[order["payment_intent_ref"]])
                yield Violation("ledger", f"order {order['id']}", f"{order['refunded_minor']} back", found)


def _returned(books: Books) -> Iterator[Violation]:
    """Each refund's rows in the ledger: given once, returned at most once, both as the refund says."""
    rows: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for entry in books.payments:
        if entry["kind"] != "charge":
            rows[entry["refund_ref"]].append((entry["kind"], entry["amount_minor"]))
    for refund in (refund for refunds in books.refunds.values() for refund in refunds):
        kinds = {"done": ["refund"], "returned": ["refund", "refund_returned"]}.get(refund["state"], [])
        expected = [(kind, refund["amount_minor"]) for kind in kinds]
        found = sorted(rows.pop(refund["refund_ref"], []))
        if found != expected:
            yield Violation("ledger", f"refund {refund['id']}", str(expected), str(found))
    for ref, entries in rows.items():
        yield Violation("ledger", ref, "a refund", str(entries))


# The command


def read_told(path: Path) -> list[Told]:
    """A taps file: one JSON object a line, `order_id` and `accepted`; an order's last line wins."""
    told: dict[str, Told] = {}
    for line in path.read_text().splitlines():
        if line.strip():
            one = json.loads(line)
            told[one["order_id"]] = Told(one["order_id"], bool(one["accepted"]))
    return list(told.values())


def fetch_audit(url: str, key: str) -> Any:
    """The simulator's own list of every payment."""
    request = urllib.request.Request(f"{url}/v1/_audit", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="loadtests.commerce.books", description="Recompute the books; list violations."
    )
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--provider", help="the payment simulator's address")
    parser.add_argument("--provider-key", default="", help="its secret key")
    parser.add_argument("--taps", type=Path, help="what each tap was told, a JSON object a line")
    parser.add_argument("--under-way", action="store_true", help="orders may still be open")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    audit = fetch_audit(args.provider, args.provider_key) if args.provider else None
    told = read_told(args.taps) if args.taps else []
    found = asyncio.run(
        read_books(args.database_url, provider_audit=audit, told=told, at_rest=not args.under_way)
    )
    if args.json:
        kinds = Counter(violation.kind for violation in found)
        print(json.dumps({"violations": len(found), "kinds": kinds, "rows": [asdict(v) for v in found]}))
    else:
        for violation in found:
            print(
                f"{violation.kind}: {violation.subject}: expected {violation.expected}, is {violation.found}"
            )
        print(f"{len(found)} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
