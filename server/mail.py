"""Mail on its way: by SMTP where a server is set, else as `.eml` files that any mail program opens.

Routes and checkout put mail into the outbox; the worker gives what it finds there to `Mailer.deliver`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import uuid_utils

from server.letters import letter

_DEADLINE_S = 30.0


class MailRefused(Exception):
    """The mail server said no for good (5xx): sending again won't help. `code` is stable."""

    code = "mail_refused"


class Carrier(Protocol):
    """Takes a finished message. Raises MailRefused, or OSError for what may pass."""

    async def send(self, message: EmailMessage) -> None: ...


class Mailer:
    """Renders letters and hands them to a carrier."""

    def __init__(self, carrier: Carrier, sender: str, clock: Callable[[], datetime]) -> None:
        self._carrier, self._sender, self._clock = carrier, sender, clock

    async def deliver(self, payload: Mapping[str, Any]) -> None:
        """Render and send {letter, to, values}. Raises MailRefused, OSError, KeyError."""
        await self._carrier.send(self.message(payload))

    def message(self, payload: Mapping[str, Any]) -> EmailMessage:
        written = letter(payload["letter"], payload["values"])
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = payload["to"]
        message["Subject"] = written.subject
        message["Date"] = format_datetime(self._clock())
        domain = parseaddr(self._sender)[1].rpartition("@")[2] or "localhost"
        message["Message-ID"] = make_msgid(domain=domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(written.text)
        message.add_alternative(written.html, subtype="html")
        return message


@dataclass(frozen=True, slots=True)
class Files:
    """Writes each mail into a directory of its own, for its owner's eyes."""

    directory: Path

    async def send(self, message: EmailMessage) -> None:
        await asyncio.to_thread(self._write, bytes(message))

    def _write(self, content: bytes) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.directory / f"{uuid_utils.uuid7()}.eml"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server: `smtps` from the first byte; `smtp` with STARTTLS wherever the server offers it, and
    never a password in the clear."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool

    @classmethod
    def of(cls, url: str) -> Smtp:
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        return cls(
            parts.hostname or "localhost",
            parts.port or (465 if tls else 587),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            tls,
        )

    async def send(self, message: EmailMessage) -> None:
        start_tls = None if self.tls or not self.password else True
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await aiosmtplib.send(
                    message,
                    hostname=self.host,
                    port=self.port,
                    username=self.username,
                    password=self.password,
                    use_tls=self.tls,
                    start_tls=False if self.tls else start_tls,
                    tls_context=ssl.create_default_context(),
                    timeout=_DEADLINE_S,
                )
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as error:
            raise _judged(error) from error
        except (aiosmtplib.SMTPException, TimeoutError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


def _judged(error: Exception) -> Exception:
    """5xx about this mail is for good; anything else may pass (a wrong password gets fixed)."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
        return MailRefused(str(error)) if all(code >= 500 for code in codes) else OSError(str(error))
    permanent = isinstance(error, aiosmtplib.SMTPDataError) and error.code >= 500
    return MailRefused(str(error)) if permanent else OSError(f"{type(error).__name__}: {error}")


def carrier(smtp_url: str, data_dir: Path) -> Carrier:
    """SMTP by its URL, or files in `mail` below the data directory."""
    return Smtp.of(smtp_url) if smtp_url else Files(data_dir / "mail")
