"""Stripe's error shapes: what can go wrong in a call, and what of it is kept.

`kept` follows Stripe's idempotency rules: the outcome of a request that began to run is stored under its
key and replayed, also when it is an error; a request that failed validation, or met a conflict, is not.
A declined card also keeps its effects (the intent's state, the failed charge); any other error undoes them.
Source: docs.stripe.com/api/errors, docs.stripe.com/api/idempotent_requests.
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer other than 2xx, as Stripe would word it."""

    status = 400
    kind = "invalid_request_error"
    kept = False
    effects_kept = False

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param, self.more = message, code, param, more

    def body(self) -> dict[str, Any]:
        """The JSON answer: `{"error": {type, message, code?, param?, …}}`."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = "https://stripe.com/docs/error-codes/" + self.code.replace("_", "-")
        if self.param:
            error["param"] = self.param
        return {"error": error | self.more}


class InvalidRequest(ApiError):
    """The parameters are wrong; nothing ran."""


class WrongState(ApiError):
    """The request ran and met an object that does not allow it: kept, as a result is."""

    kept = True


class Missing(ApiError):
    """No such object."""

    status = 404

    def __init__(self, kind: str, object_id: str, param: str = "id") -> None:
        noun = kind.replace("_", " ")
        super().__init__(f"No such {noun}: '{object_id}'", code="resource_missing", param=param)
        if param != "id":
            self.status = 400


class Unauthorized(ApiError):
    """No key, or one that is not ours."""

    status = 401


class Forbidden(ApiError):
    """A publishable key where a secret key is needed."""

    status = 403


class Declined(ApiError):
    """The bank said no (402); the intent that failed is in the error."""

    status = 402
    kind = "card_error"
    kept = True
    effects_kept = True


class KeyReused(ApiError):
    """An idempotency key came back with other parameters."""

    kind = "idempotency_error"

    def __init__(self, key: str, endpoint: str) -> None:
        super().__init__(
            "Keys for idempotent requests can only be used with the same parameters they were first used "
            f"with, at the same endpoint ({endpoint}). Use another key than '{key}' for another request."
        )


class KeyInUse(ApiError):
    """A request with this key is still running."""

    status = 409

    def __init__(self, key: str) -> None:
        super().__init__(
            f"A request with the idempotency key '{key}' is still in progress; try again when it has ended.",
            code="idempotency_key_in_use",
        )


class TooMany(ApiError):
    """The rate limit; comes before the idempotency layer."""

    status = 429

    def __init__(self) -> None:
        super().__init__("Too many requests: slow down and try again.", code="rate_limit")


class ServerFault(ApiError):
    """An injected 500; kept, as Stripe keeps them."""

    status = 500
    kind = "api_error"
    kept = True

    def __init__(self, message: str = "An error occurred (injected).", *, effects_kept: bool = False) -> None:
        super().__init__(message)
        self.effects_kept = effects_kept


class Unavailable(ApiError):
    """The provider is down, or its disk is."""

    status = 503
    kind = "api_error"


def card_declined(
    card_message: str, code: str, decline_code: str | None, **intent: Mapping[str, Any]
) -> Declined:
    """A decline with the fields a buyer's page shows; `intent` is the object that failed."""
    more: dict[str, Any] = dict(intent)
    if decline_code:
        more["decline_code"] = decline_code
    return Declined(card_message, code=code, **more)
