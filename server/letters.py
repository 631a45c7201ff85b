"""What our mails say: a letter's name and values in, subject, text and HTML out. No I/O.

Every value is text from somewhere: the HTML is made by escaping all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from server.currency import decimals


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """Paragraphs, an optional button, an optional table of (what, amount)."""

    subject: str
    paragraphs: tuple[str, ...]
    button: tuple[str, str] | None = None
    rows: tuple[tuple[str, str], ...] = ()
    closing: str = ""


def letter(kind: str, values: Mapping[str, Any]) -> Letter:
    """Raises KeyError for an unknown kind or a missing value."""
    draft = _DRAFTS[kind](values)
    return Letter(draft.subject.replace("\n", " ").replace("\r", " "), _text(draft), _html(draft))


def amount(minor: int, currency: str) -> str:
    """`EUR 12.50`: unambiguous wherever it is read."""
    digits = decimals(currency)
    return f"{currency} {minor / 10**digits:,.{digits}f}"


def _verify(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        "Confirm your e-mail address",
        (f"Hello {values['name']},", "please confirm that this e-mail address is yours."),
        ("Confirm address", values["link"]),
        closing="The link works for three days. If you did not sign up, ignore this mail.",
    )


def _reset(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        "Set a new password",
        (f"Hello {values['name']},", "somebody, hopefully you, asked to set a new password."),
        ("Set a new password", values["link"]),
        closing="The link works for one hour, once. If it was not you, ignore this mail.",
    )


def _invitation(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"{values['invited_by']} invites you to {values['shop']}",
        (
            "Hello,",
            f"{values['invited_by']} invites you to work for {values['shop']} as {values['role']}.",
            "Sign in or make an account with this e-mail address, then accept.",
        ),
        ("Accept the invitation", values["link"]),
        closing="The link works for seven days. If you don't know the sender, ignore this mail.",
    )


def _receipt(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"Your order {values['number']} at {values['shop']}",
        (f"Hello {values['name']},", f"thank you. Your order {values['number']} is paid."),
        ("See your order", values["link"]),
        _order_rows(values),
        "We write again when it is on its way.",
    )


def _auction_won(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"You won the auction: order {values['number']} at {values['shop']}",
        (
            f"Hello {values['name']},",
            f"your bid won. We charge your saved card for order {values['number']}.",
            "If your bank asks you to confirm the payment, your order's page takes you there.",
        ),
        ("See your order", values["link"]),
        _order_rows(values),
        "If the payment fails, the next bidder in line gets it.",
    )


def _auction_next(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"It is yours after all: order {values['number']} at {values['shop']}",
        (
            f"Hello {values['name']},",
            "who won the auction could not pay, and you are next in line: your bid wins now.",
            "You pay what it would have cost without them.",
            f"We charge your saved card for order {values['number']}.",
            "If your bank asks you to confirm the payment, your order's page takes you there.",
        ),
        ("See your order", values["link"]),
        _order_rows(values),
        "If the payment fails, the next bidder in line gets it.",
    )


def _auction_again(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"We charge your card for what you won: order {values['number']} at {values['shop']}",
        (
            f"Hello {values['name']},",
            "you did not confirm the payment for what you won. The order that waited for it is cancelled.",
            f"We charge your saved card once more, without asking you, for order {values['number']}.",
        ),
        ("See your order", values["link"]),
        _order_rows(values),
        "If the payment fails, the next bidder in line gets it.",
    )


def _auction_lost(values: Mapping[str, Any]) -> _Draft:
    variant = f" ({values['variant_title']})" if values.get("variant_title") else ""
    price = amount(values["price_minor"], values["currency"])
    return _Draft(
        f"Your payment failed: {values['title']}",
        (
            f"Hello {values['name']},",
            f"you won {values['title']}{variant} for {price} at {values['shop']}, but it is not paid.",
            values["reason"],
            "So it is offered to the next bidder in line, if there is one. You were not charged.",
            "For your next bid, have a look at the cards in your account.",
        ),
        ("See the auction", values["link"]),
    )


def _order_rows(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    currency = values["currency"]
    lines = tuple(
        (_line_title(line), amount(line["quantity"] * line["unit_price_minor"], currency))
        for line in values["lines"]
    )
    return (
        *lines,
        ("Shipping", amount(values["shipping_minor"], currency)),
        ("Total", amount(values["total_minor"], currency)),
        ("Tax in it", amount(values["tax_minor"], currency)),
    )


def _line_title(line: Mapping[str, Any]) -> str:
    variant = f" ({line['variant_title']})" if line.get("variant_title") else ""
    return f"{line['quantity']} × {line['title']}{variant}"


def _shipped(values: Mapping[str, Any]) -> _Draft:
    return _Draft(
        f"Order {values['number']} is on its way",
        (f"Hello {values['name']},", f"your order {values['number']} from {values['shop']} was sent."),
        ("See your order", values["link"]),
    )


def _refund(values: Mapping[str, Any]) -> _Draft:
    money = amount(values["amount_minor"], values["currency"])
    return _Draft(
        f"Refund for order {values['number']}",
        (
            f"Hello {values['name']},",
            f"{values['shop']} refunds {money} of your order {values['number']}.",
            "It goes back to the card you paid with; banks take up to ten days to show it.",
        ),
        ("See your order", values["link"]),
    )


def _offer(values: Mapping[str, Any]) -> _Draft:
    variant = f" ({values['variant_title']})" if values.get("variant_title") else ""
    units = f"{values['quantity']} × {values['title']}{variant}"
    price = amount(values["unit_price_minor"], values["currency"])
    return _Draft(
        f"It is your turn: {values['title']}",
        (
            f"Hello {values['name']},",
            f"you waited for it, and it is here: {units}, {price} each.",
            f"It is kept for you for {values['left']}, then the next in line has it.",
        ),
        ("See your offer", values["link"]),
    )


_DRAFTS: Mapping[str, Callable[[Mapping[str, Any]], _Draft]] = {
    "verify": _verify,
    "reset": _reset,
    "invitation": _invitation,
    "receipt": _receipt,
    "auction_won": _auction_won,
    "auction_next": _auction_next,
    "auction_again": _auction_again,
    "auction_lost": _auction_lost,
    "shipped": _shipped,
    "refund": _refund,
    "offer": _offer,
}


def _text(draft: _Draft) -> str:
    parts = list(draft.paragraphs)
    if draft.rows:
        width = max(len(what) for what, _ in draft.rows)
        parts.append("\n".join(f"{what:<{width}}  {money:>14}" for what, money in draft.rows))
    if draft.button:
        parts.append(f"{draft.button[0]}:\n{draft.button[1]}")
    if draft.closing:
        parts.append(draft.closing)
    return "\n\n".join(parts) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{subject}</title></head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif;color:#1b1f1d;background:#f4f5f1">
<div style="max-width:520px;margin:0 auto;padding:32px;background:#fff;border-radius:12px">
{content}
</div></body></html>
"""
_BUTTON = (
    '<p style="margin:28px 0"><a href="{link}" style="display:inline-block;padding:12px 20px;'
    'border-radius:8px;background:#16302a;color:#fff;text-decoration:none;font-weight:600">{label}</a></p>'
)
_ROW = (
    '<tr><td style="padding:6px 0;border-bottom:1px solid #e3e6df">{what}</td>'
    '<td style="padding:6px 0;border-bottom:1px solid #e3e6df;text-align:right;white-space:nowrap">'
    "{money}</td></tr>"
)


def _html(draft: _Draft) -> str:
    parts = [f"<p>{escape(paragraph)}</p>" for paragraph in draft.paragraphs]
    if draft.rows:
        rows = "".join(_ROW.format(what=escape(what), money=escape(money)) for what, money in draft.rows)
        parts.append(f'<table style="width:100%;border-collapse:collapse">{rows}</table>')
    if draft.button:
        parts.append(_BUTTON.format(label=escape(draft.button[0]), link=escape(draft.button[1])))
    if draft.closing:
        parts.append(f'<p style="color:#5c645f;font-size:14px">{escape(draft.closing)}</p>')
    return _PAGE.format(subject=escape(draft.subject), content="\n".join(parts))
