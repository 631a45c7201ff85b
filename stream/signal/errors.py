"""What can go wrong in signalling. Each error has a stable code, says what is wrong and what to do.

The tree follows what the caller can do: mend the request, get another ticket, or come back later.
`resources` turns them into problem details (RFC 9457) in one place.
"""

from __future__ import annotations

from collections.abc import Mapping


class SignalError(Exception):
    """`status` is the HTTP status, `code` never changes its meaning."""

    status = 500
    code = "internal"

    def __init__(self, detail: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.status = status or type(self).status

    def headers(self) -> Mapping[str, str]:
        return {}


class MalformedError(SignalError):
    """Mend the request."""

    status, code = 400, "malformed"


class SdpError(MalformedError):
    code = "malformed_sdp"


class UnsupportedError(SignalError):
    """Well-formed, but it asks for what a relay doesn't do (RFC 9725 4.2)."""

    status, code = 422, "unsupported_media"


class NotAllowedError(SignalError):
    """Get a ticket, or the right one."""

    status, code = 401, "ticket_invalid"

    def headers(self) -> Mapping[str, str]:
        return {"www-authenticate": "Bearer"} if self.status == 401 else {}


class NoSuchSessionError(SignalError):
    status, code = 404, "session_not_found"


class ConflictError(SignalError):
    """Another publisher is there, or nobody is."""

    status, code = 409, "publisher_present"

    def __init__(self, detail: str, *, code: str = "", retry_after_s: int = 0) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s

    def headers(self) -> Mapping[str, str]:
        return {"retry-after": str(self.retry_after_s)} if self.retry_after_s else {}


class UnavailableError(ConflictError):
    """Come back after `retry_after_s`."""

    status, code = 503, "overloaded"
