"""Mail: what letters say, and how they leave."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.letters import amount, letter
from server.mail import Files, Mailer, MailRefused, Smtp, carrier

LINK = "http://shop.test/account/verify#token=abc"
ORDER: dict[str, Any] = {
    "name": "Ada",
    "shop": "Cups & Co",
    "number": 7,
    "link": "http://shop.test/orders/1",
    "currency": "EUR",
    "shipping_minor": 490,
    "tax_minor": 478,
    "total_minor": 2990,
    "amount_minor": 1000,
    "lines": [{"title": "Cup", "variant_title": "Red", "quantity": 2, "unit_price_minor": 1250}],
}
INVITATION = {"invited_by": "Grace", "shop": "Cups & Co", "role": "host", "link": LINK}
OFFER = {
    "name": "Ada",
    "title": "Cup",
    "variant_title": "Red",
    "quantity": 2,
    "unit_price_minor": 1250,
    "currency": "EUR",
    "left": "2 minutes",
    "link": LINK,
}

LOST = {
    "name": "Ada",
    "shop": "Cups & Co",
    "title": "Cup",
    "variant_title": "Red",
    "price_minor": 1250,
    "currency": "EUR",
    "reason": "Your bank declined the card.",
    "link": LINK,
}


def mailer(to: Any) -> Mailer:
    return Mailer(to, "Cups <shop@example.com>", lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("verify", {"name": "Ada", "link": LINK}),
        ("reset", {"name": "Ada", "link": LINK}),
        ("invitation", INVITATION),
        ("receipt", ORDER),
        ("shipped", ORDER),
        ("refund", ORDER),
        ("auction_won", ORDER),
        ("auction_next", ORDER),
        ("auction_again", ORDER),
        ("auction_lost", LOST),
        ("offer", OFFER),
    ],
)
def test_every_letter_says_the_same_twice(kind: str, values: dict[str, Any]) -> None:
    written = letter(kind, values)
    assert written.subject
    assert values["link"] in written.text
    assert values["link"] in written.html


def test_a_receipt_lists_what_was_bought() -> None:
    written = letter("receipt", ORDER)
    assert "2 × Cup (Red)" in written.text
    assert "EUR 25.00" in written.text
    assert "EUR 29.90" in written.html


def test_names_are_text_never_markup_or_headers() -> None:
    written = letter("invitation", {**INVITATION, "invited_by": "<script>\r\nBcc: x@y.z"})
    assert "<script>" not in written.html
    assert "\n" not in written.subject
    assert "\r" not in written.subject


def test_amounts_are_unambiguous() -> None:
    assert [amount(123456, c) for c in ("EUR", "JPY", "KWD")] == [
        "EUR 1,234.56",
        "JPY 123,456",
        "KWD 123.456",
    ]


async def test_without_a_server_mail_is_a_file(tmp_path: Path) -> None:
    to = carrier("", tmp_path)
    assert isinstance(to, Files)
    await mailer(to).deliver(
        {"letter": "verify", "to": "ada@example.com", "values": {"name": "Ada ☕", "link": LINK}}
    )
    (file,) = (tmp_path / "mail").glob("*.eml")
    assert file.stat().st_mode & 0o777 == 0o600
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert message["To"] == "ada@example.com"
    assert message["From"] == "Cups <shop@example.com>"
    assert message["Message-ID"].endswith("@example.com>")
    body = message.get_body(("plain",))
    assert body is not None
    assert LINK in body.get_content()
    assert "Ada ☕" in body.get_content()


class Server:
    """A small SMTP server that answers RCPT and DATA as told."""

    def __init__(self, rcpt: str = "250 ok", data: str = "250 kept") -> None:
        self.rcpt, self.data, self.mails = rcpt, data, []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say("220 test")
        with contextlib.closing(writer):
            await self._converse(reader, say)

    async def _converse(self, reader: asyncio.StreamReader, say: Callable[[str], None]) -> None:
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                say("354 go on")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                say(self.data)
            else:
                say({"RCPT": self.rcpt, "QUIT": "221 bye", "EHLO": "250 test"}.get(verb, "250 ok"))
            if verb == "QUIT":
                break


async def send_to(server: Server) -> None:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    values = {"name": "Ada", "link": LINK}
    try:
        await mailer(carrier(f"smtp://127.0.0.1:{port}", Path())).deliver(
            {"letter": "verify", "to": "ada@example.com", "values": values}
        )
    finally:
        listening.close()


async def test_mail_goes_by_smtp() -> None:
    server = Server()
    await send_to(server)
    assert b"Subject: Confirm your e-mail address" in server.mails[0]


@pytest.mark.parametrize(
    ("server", "error"),
    [
        (Server(rcpt="550 no such user"), MailRefused),
        (Server(rcpt="451 later"), OSError),
        (Server(data="554 spam"), MailRefused),
        (Server(data="452 full"), OSError),
    ],
)
async def test_what_the_server_refuses_for_good_is_not_sent_again(server: Server, error: type) -> None:
    with pytest.raises(error):
        await send_to(server)


async def test_a_server_that_is_down_may_come_back() -> None:
    with pytest.raises(OSError):
        await mailer(carrier("smtp://127.0.0.1:9", Path())).deliver(
            {"letter": "verify", "to": "a@example.com", "values": {"name": "Ada", "link": LINK}}
        )


def test_smtp_urls() -> None:
    assert Smtp.of("smtps://me%40x:p%2Fw@mail.test") == Smtp("mail.test", 465, "me@x", "p/w", True)
    assert Smtp.of("smtp://mail.test").port == 587
