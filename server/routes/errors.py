"""The one place where what went wrong becomes an answer (RFC 9457)."""

from __future__ import annotations

import math

import asyncpg
import msgspec
import structlog
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from overlay.log import LogError
from overlay.ports import Refusal
from server.checkout.ports import NoSuchVariant, StoreTrouble
from server.payments.outcomes import PaymentError, ProviderBusy, ProviderRefused
from server.problems import KINDS, Problem
from server.shop.changes import NotPossible

_log = structlog.get_logger("hawker.web")

_STORE_ERRORS = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    RedisError,
    LogError,
    OSError,
    TimeoutError,
)
_TEXT_ERRORS = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


def problem_of(error: Exception) -> Problem | None:
    """The problem that an exception means; None for a bug of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal):
        return of_refusal(error)
    if isinstance(error, HTTPException):
        return Problem(_BY_STATUS.get(error.status_code, "internal"))
    if isinstance(error, NotPossible):
        return Problem(error.code if error.code in KINDS else "wrong_order_state", error.reason)
    if isinstance(error, NoSuchVariant):
        return Problem("no_such_variant")
    if isinstance(error, StoreTrouble):
        return Problem("store_unavailable", retry_after_s=2)
    if isinstance(error, PaymentError):
        return _of_provider(error)
    if isinstance(error, _TEXT_ERRORS):
        return Problem("bad_text")
    if isinstance(error, asyncpg.DiskFullError):
        return Problem("storage_full")
    if isinstance(error, _STORE_ERRORS):
        return Problem("store_unavailable", retry_after_s=2)
    return None


def _of_provider(error: PaymentError) -> Problem:
    if isinstance(error, ProviderRefused):
        return Problem("card_refused", error.message)
    wait_s = math.ceil(error.retry_after_s) if isinstance(error, ProviderBusy) else 2
    return Problem("payment_unavailable", retry_after_s=wait_s)


def of_refusal(refusal: Refusal) -> Problem:
    """What the checkout refused, with the same code where the table has it."""
    code = refusal.code if refusal.code in KINDS else "refused"
    extra = {"lines": msgspec.to_builtins(refusal.lines)} if refusal.lines else {}
    if code == "refused":
        extra["refusal"] = refusal.code
    wait_s = None if refusal.retry_after_ms is None else math.ceil(refusal.retry_after_ms / 1000)
    return Problem(code, refusal.reason, retry_after_s=wait_s, extra=extra)


def response_of(problem: Problem) -> Response:
    headers = {"cache-control": "no-store"}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    if problem.kind.status == 401:
        headers["www-authenticate"] = 'Bearer realm="hawker"'
    content = msgspec.json.encode(problem.document())
    return Response(content, problem.kind.status, headers, "application/problem+json")


async def handle(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for everything."""
    problem = problem_of(error)
    if problem is None:
        _log.error("request_broke", path=request.url.path, method=request.method, exc_info=error)
        problem = Problem("internal")
    elif problem.kind.status == 503 and problem is not error:
        _log.warning("store_unavailable", error=f"{type(error).__name__}: {error}", path=request.url.path)
    request.scope["hawker.code"] = problem.code
    response = response_of(problem)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response
