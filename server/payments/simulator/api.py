"""Stripe's API as a function: a request in, an answer out, its effects on disk. No sockets in here.

The order of the layers is Stripe's: key, then stored answer, then validation, then the work. Rate limits and
conflicts come before, in `app`, which also decides what goes wrong.
"""

import hashlib
import json
import logging
import sqlite3
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from server.payments.simulator import accounts, disputes, form, intents, refunds, saving, transfers
from server.payments.simulator.call import EXPAND, PAGE, Call, check_secret, public
from server.payments.simulator.errors import (
    ApiError,
    Declined,
    Forbidden,
    InvalidRequest,
    KeyReused,
    Missing,
    ServerFault,
    Unauthorized,
    Unavailable,
)
from server.payments.simulator.form import Params, Shape
from server.payments.simulator.ledger import Answer, Ledger, Obj

_LOG = logging.getLogger("hawker.simulator")
_PRUNE_EVERY_S = 600.0

Handler = Callable[..., Obj]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `form` is the query of a GET or DELETE, the body of a POST."""

    method: str
    path: str
    form: str = ""
    authorization: str = ""
    idempotency_key: str | None = None
    account: str = ""

    @property
    def fingerprint(self) -> str:
        """What must be the same when a key comes again."""
        parts = "\n".join([self.method, self.path, *sorted(self.form.split("&"))])
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A call: what it takes, what it can't do without, and whether a browser may make it."""

    handler: Handler
    shape: Shape
    required: tuple[str, ...] = ()
    browser: bool = False


_SECRET = EXPAND | {"client_secret": form.text}
ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "customers"): Route(saving.create_customer, saving.CUSTOMER_CREATE),
    ("GET", "customers"): Route(saving.list_customers, saving.CUSTOMER_LIST),
    ("GET", "customers/*"): Route(saving.retrieve_customer, EXPAND),
    ("POST", "customers/*"): Route(saving.update_customer, saving.CUSTOMER),
    ("DELETE", "customers/*"): Route(saving.delete_customer, {}),
    ("GET", "customers/*/payment_methods"): Route(saving.list_customer_methods, saving.METHOD_LIST),
    ("GET", "customers/*/payment_methods/*"): Route(saving.retrieve_customer_method, EXPAND),
    ("POST", "payment_methods"): Route(saving.create_method, saving.METHOD_CREATE, ("type", "card"), True),
    ("GET", "payment_methods"): Route(saving.list_methods, saving.METHOD_LIST),
    ("GET", "payment_methods/*"): Route(saving.retrieve_method, EXPAND),
    ("POST", "payment_methods/*"): Route(saving.update_method, saving.METHOD_UPDATE),
    ("POST", "payment_methods/*/attach"): Route(saving.attach_method, saving.ATTACH, ("customer",)),
    ("POST", "payment_methods/*/detach"): Route(saving.detach_method, EXPAND),
    ("POST", "setup_intents"): Route(saving.create_setup, saving.SETUP_CREATE),
    ("GET", "setup_intents"): Route(saving.list_setups, saving.SETUP_LIST),
    ("GET", "setup_intents/*"): Route(saving.retrieve_setup, _SECRET, browser=True),
    ("POST", "setup_intents/*/confirm"): Route(saving.confirm_setup, saving.SETUP_CONFIRM, browser=True),
    ("POST", "setup_intents/*/cancel"): Route(saving.cancel_setup, saving.CANCEL_SETUP),
    ("POST", "payment_intents"): Route(intents.create, intents.CREATE, ("amount", "currency")),
    ("GET", "payment_intents"): Route(intents.list_intents, intents.LIST),
    ("GET", "payment_intents/*"): Route(intents.retrieve, _SECRET, browser=True),
    ("POST", "payment_intents/*"): Route(intents.update, intents.UPDATE),
    ("POST", "payment_intents/*/confirm"): Route(intents.confirm, intents.CONFIRM, browser=True),
    ("POST", "payment_intents/*/capture"): Route(intents.capture, intents.CAPTURE),
    ("POST", "payment_intents/*/cancel"): Route(intents.cancel, intents.CANCEL),
    ("GET", "charges"): Route(intents.list_charges, intents.CHARGE_LIST),
    ("GET", "charges/*"): Route(intents.retrieve_charge, EXPAND),
    ("POST", "refunds"): Route(refunds.create, refunds.CREATE),
    ("GET", "refunds"): Route(refunds.list_refunds, refunds.LIST),
    ("GET", "refunds/*"): Route(refunds.retrieve, EXPAND),
    ("POST", "refunds/*"): Route(refunds.update, refunds.UPDATE),
    ("GET", "events"): Route(accounts.list_events, accounts.EVENT_LIST),
    ("GET", "events/*"): Route(accounts.retrieve_event, EXPAND),
    ("POST", "accounts"): Route(accounts.create_account, accounts.ACCOUNT_CREATE),
    ("GET", "accounts"): Route(accounts.list_accounts, PAGE),
    ("GET", "accounts/*"): Route(accounts.retrieve_account, EXPAND),
    ("POST", "accounts/*"): Route(accounts.update_account, accounts.ACCOUNT_UPDATE),
    ("POST", "transfers"): Route(
        transfers.create_transfer, transfers.TRANSFER_CREATE, ("amount", "currency", "destination")
    ),
    ("GET", "transfers"): Route(transfers.list_transfers, transfers.TRANSFER_LIST),
    ("GET", "transfers/*"): Route(transfers.retrieve_transfer, EXPAND),
    ("POST", "transfers/*/reversals"): Route(transfers.create_reversal, transfers.REVERSAL_CREATE),
    ("GET", "transfers/*/reversals"): Route(transfers.list_reversals, PAGE),
    ("GET", "transfers/*/reversals/*"): Route(transfers.retrieve_reversal, EXPAND),
    ("POST", "transfers/*/reversals/*"): Route(transfers.update_reversal, transfers.REVERSAL_UPDATE),
    ("GET", "balance"): Route(transfers.balance, EXPAND),
    ("GET", "disputes"): Route(disputes.list_disputes, disputes.LIST),
    ("GET", "disputes/*"): Route(disputes.retrieve, EXPAND),
    ("POST", "disputes/*"): Route(disputes.update, disputes.UPDATE),
    ("POST", "disputes/*/close"): Route(disputes.close, EXPAND),
    ("GET", "_audit"): Route(accounts.audit, {}),
}
# What happens at the provider without a call of its API: somebody at its dashboard, a bank.
ACTS: dict[str, Route] = {
    "/_dashboard/refunds": Route(refunds.create, refunds.CREATE),
    "/_bank/returns": Route(refunds.returned, refunds.RETURN, ("refund",)),
}
_AUTHENTICATE = {"client_secret": form.text, "outcome": form.choice("approve", "refuse")}


class Api:
    """The account that the simulator keeps. `announce` is told of each new event, inside its transaction."""

    def __init__(
        self,
        ledger: Ledger,
        secret_key: str,
        publishable_key: str,
        clock: Callable[[], float],
        announce: Callable[[Obj], None],
    ) -> None:
        self._ledger = ledger
        self._keys = {secret_key: False, publishable_key: True}
        self._clock = clock
        self._announce = announce
        self._next_prune = clock()

    def admits(self, authorization: str) -> bool:
        """Whether this is the secret key: what the admin endpoints ask."""
        return self._keys.get(_key_in(authorization)) is False

    def answer(self, request: Request, fault: ServerFault | None = None, *, list_lag_s: float = 0.0) -> Reply:
        """Do what the request asks, durably, and say how it went."""
        self._prune()
        return self._guarded(lambda: self._answer(request, fault, list_lag_s))

    def act(self, request: Request) -> Reply:
        """One of ACTS; who may is asked before. No fault ever meets it."""
        route = ACTS[request.path]
        raw = form.decode(request.form)
        return self._guarded(
            lambda: self._settle(lambda: self._run(request, route, [], raw, browser=False), None, None)
        )

    def _prune(self) -> None:
        now = self._clock()
        if now >= self._next_prune:
            self._ledger.prune(now)
            self._next_prune = now + _PRUNE_EVERY_S

    def _answer(self, request: Request, fault: ServerFault | None, list_lag_s: float) -> Reply:
        raw = form.decode(request.form)
        browser = self._browser(request, raw)
        route, ids = _route(request)
        if browser and not route.browser:
            raise Forbidden("This API call cannot be made with a publishable API key. Use a secret key.")
        if request.account:
            raise InvalidRequest("The simulator keeps one account: it takes no Stripe-Account header.")
        key = f"{browser:d}:{request.idempotency_key}" if request.idempotency_key else None

        def work() -> Obj:
            return self._run(request, route, ids, raw, browser=browser, list_lag_s=list_lag_s)

        if request.method == "POST" and key:
            return self._once(request, key, work, fault)
        return self._settle(work, fault, None)

    def _browser(self, request: Request, raw: dict[str, Any]) -> bool:
        """Which key came: in the header, or, from a browser, in the form as `key`."""
        key = _key_in(request.authorization) or str(raw.get("key", ""))
        raw.pop("key", None)
        if key not in self._keys:
            raise Unauthorized("Invalid API key provided." if key else "You did not provide an API key.")
        return self._keys[key]

    def _once(self, request: Request, key: str, work: Callable[[], Obj], fault: ServerFault | None) -> Reply:
        """The idempotency layer."""
        now = self._clock()
        stored = self._ledger.answer(key, now)
        if stored is None:
            return self._settle(work, fault, (key, request.fingerprint))
        if stored.fingerprint != request.fingerprint:
            raise KeyReused(request.idempotency_key or "", request.path)
        return Reply(stored.status, stored.body, replayed=True)

    def _settle(
        self, work: Callable[[], Obj], fault: ServerFault | None, keep: tuple[str, str] | None
    ) -> Reply:
        """Run, and commit the effects, the answer to keep and the webhooks as one."""
        with self._ledger.transaction() as mark:
            try:
                if fault and not fault.effects_kept:
                    raise fault
                obj = _met_by(fault, work)
                status, body, kept = 200, _json(public(obj)), True
            except ApiError as error:
                if not error.effects_kept:
                    mark.undo()
                status, body, kept = error.status, _json(public_error(error)), error.kept
            if keep and kept:
                key, fingerprint = keep
                self._ledger.keep_answer(key, Answer(fingerprint, status, body), self._clock())
        return Reply(status, body)

    def _run(
        self,
        request: Request,
        route: Route,
        ids: list[str],
        raw: dict[str, Any],
        *,
        browser: bool,
        list_lag_s: float = 0.0,
    ) -> Obj:
        params: Params = form.read(raw, route.shape, route.required)
        call = replace(self._call(request, browser), list_lag_s=list_lag_s)
        expand: list[str] = params.get("expand", [])
        obj = public(route.handler(call, params, *ids))
        return _for_browser(obj) if browser else call.expanded(obj, expand)

    def _call(self, request: Request, browser: bool) -> Call:
        now = int(self._clock())
        return Call(self._ledger, now, request.path, browser, request.idempotency_key, self._announce)

    def authenticate(self, request: Request, intent_id: str) -> Reply:
        """The 3-D Secure page: `outcome` approve or refuse, `client_secret`, and a publishable `key`."""
        return self._guarded(lambda: self._authenticate(request, intent_id))

    def _guarded(self, work: Callable[[], Reply]) -> Reply:
        """Whatever happens, an answer in Stripe's shape."""
        try:
            return work()
        except ApiError as error:
            return Reply(error.status, _json(public_error(error)))
        except sqlite3.Error:
            _LOG.exception("state_write_failed")
            return Reply(503, _json(Unavailable("The simulator cannot write its state; see its log.").body()))
        except Exception:
            _LOG.exception("request_failed")
            return Reply(500, _json(ServerFault("An unexpected error; see the simulator's log.").body()))

    def _authenticate(self, request: Request, intent_id: str) -> Reply:
        raw = form.decode(request.form)
        self._browser(request, raw)
        params = form.read(raw, _AUTHENTICATE, ("client_secret", "outcome"))
        call = self._call(request, browser=True)
        return self._settle(lambda: _authenticated(call, intent_id, params), None, None)


def _met_by(fault: ServerFault | None, work: Callable[[], Obj]) -> Obj:
    """Run, and then meet the fault, if any: a decline that has left its mark meets it, too."""
    try:
        obj = work()
    except ApiError as error:
        if fault and error.effects_kept:
            raise fault from error
        raise
    if fault:
        raise fault
    return obj


def _authenticated(call: Call, intent_id: str, params: Params) -> Obj:
    kind = "payment_intent" if intent_id.startswith("pi_") else "setup_intent"
    intent = call.fetch(kind, intent_id)
    check_secret(call, intent, params["client_secret"])
    conclude = intents.authenticate if kind == "payment_intent" else saving.authenticate_setup
    try:
        intent = conclude(call, intent, approved=params["outcome"] == "approve")
    except Declined:
        intent = call.fetch(kind, intent_id)
    return _for_browser(public(intent))


def _route(request: Request) -> tuple[Route, list[str]]:
    parts = request.path.removeprefix("/v1/").split("/")
    if not request.path.startswith("/v1/") or len(parts) > 4:
        raise _unknown_url(request)
    pattern = "/".join("*" if place % 2 and parts else part for place, part in enumerate(parts))
    route = ROUTES.get((request.method, pattern))
    if route is None:
        raise _unknown_url(request)
    return route, parts[1::2]


def _unknown_url(request: Request) -> Missing:
    error = Missing("resource", request.path)
    error.message = (
        f"Unrecognized request URL ({request.method}: {request.path}), or one the simulator does not offer."
    )
    error.code = None
    return error


def _key_in(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value).decode().partition(":")[0]
        except ValueError:
            return ""
    return ""


_BROWSER_HIDES = ("metadata", "customer", "latest_charge", "transfer_group", "statement_descriptor")


def _for_browser(obj: Obj) -> Obj:
    """A publishable key sees what the buyer's page needs, no more."""
    return {name: value for name, value in obj.items() if name not in _BROWSER_HIDES}


def public_error(error: ApiError) -> dict[str, Any]:
    """The error's body, without what only the simulator knows."""
    body = error.body()
    body["error"] = {
        name: public(value) if isinstance(value, dict) else value for name, value in body["error"].items()
    }
    return body


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
