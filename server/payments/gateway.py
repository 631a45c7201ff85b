"""The gateway to Stripe: the only place that calls it. The payment simulator is reached the same way.

Nothing is retried in here: who retries is who has the key on disk. Each call has a deadline, takes its turn
under the provider's rate limit, and either has an outcome (see `outcomes`) or raises a PaymentError.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import stripe

from server.payments.answers import (
    Failure,
    Refused,
    card_view,
    charge_outcome,
    error_of,
    failure_of,
    payment_view,
    refund_view,
    setup_view,
)
from server.payments.outcomes import (
    Cancelled,
    CancelOutcome,
    CardView,
    ChargeOutcome,
    CustomerRef,
    NotCancellable,
    PaymentView,
    PaymentViews,
    RateLimited,
    Refunded,
    RefundOutcome,
    RefundRefused,
    RefundView,
    SetupIntentView,
    Unknown,
)
from server.payments.rate_limit import Turns
from server.payments.webhooks import Event, event_from

# The package would write an id into the operator's home directory and send it with each call.
stripe.enable_telemetry = False

_CONNECTIONS = 100
_PAGE = 100
_CARD_ONLY = {"enabled": True, "allow_redirects": "never"}

Answer = dict[str, Any]
Work = Callable[[stripe.StripeClient], Awaitable[stripe.StripeObject]]
Fetch = Callable[[stripe.StripeClient, Answer], Awaitable[stripe.StripeObject]]


class StripeGateway:
    """Speaks to Stripe through its own package; `base_url` None is Stripe, else where its stand-in listens.

    `timeout_s` is each call's deadline. `turns` space calls out; a call that finds the line full is answered
    RateLimited (or raises ProviderBusy) at once. One event loop; `close` at the end.
    """

    def __init__(
        self,
        secret_key: str,
        *,
        base_url: str | None = None,
        timeout_s: float = 15.0,
        turns: Turns | None = None,
    ) -> None:
        self._secret_key, self._base_url, self._timeout_s = secret_key, base_url, timeout_s
        self._turns = turns
        self._http: stripe.AIOHTTPClient | None = None
        self._client: stripe.StripeClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]

    # Cards

    async def create_customer(self, user_id: str, email: str, idempotency_key: str) -> CustomerRef:
        """Stripe's customer for one of ours."""
        params = {"email": email, "metadata": {"user": user_id}}
        options = _key(idempotency_key)
        made = await self._get(lambda api: api.v1.customers.create_async(cast(Any, params), options))
        return CustomerRef(made["id"])

    async def create_setup_intent(self, customer: str, idempotency_key: str) -> SetupIntentView:
        """Begin to save a card: the browser confirms with the client secret. For use off session too."""
        params = {"customer": customer, "usage": "off_session", "automatic_payment_methods": _CARD_ONLY}
        options = _key(idempotency_key)
        made = await self._get(lambda api: api.v1.setup_intents.create_async(cast(Any, params), options))
        return setup_view(made)

    async def retrieve_setup_intent(self, setup_intent: str) -> SetupIntentView:
        """How the saving of a card went."""
        return setup_view(await self._get(lambda api: api.v1.setup_intents.retrieve_async(setup_intent)))

    async def retrieve_payment_method(self, payment_method: str) -> CardView:
        """What may be shown of a card."""
        return card_view(await self._get(lambda api: api.v1.payment_methods.retrieve_async(payment_method)))

    async def detach(self, payment_method: str) -> None:
        """Forget a saved card, for good. One that is already forgotten is no error."""
        answer = await self._ask(lambda api: api.v1.payment_methods.detach_async(payment_method))
        if isinstance(answer, Refused) and answer.code == "payment_method_unexpected_state":
            return
        if not isinstance(answer, dict):
            raise error_of(answer)

    # Payments

    async def charge(
        self,
        *,
        order_id: str,
        amount_minor: int,
        currency: str,
        customer: str,
        payment_method: str,
        idempotency_key: str,
        off_session: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> ChargeOutcome:
        """Create and confirm a payment intent in one call. A replay needs the same key and arguments.

        A replay answers what was answered first: after ActionNeeded, `retrieve` tells how it went on. It
        raises nothing but cancellation. The order's id is `metadata.order` at Stripe.
        """
        params: dict[str, Any] = {
            "amount": amount_minor,
            "currency": currency.lower(),
            "customer": customer,
            "payment_method": payment_method,
            "confirm": True,
            "automatic_payment_methods": _CARD_ONLY,
            "capture_method": "automatic",
            "metadata": {**(metadata or {}), "order": order_id},
        }
        params |= {"off_session": True} if off_session else {"use_stripe_sdk": True}
        options = _key(idempotency_key)
        return charge_outcome(
            await self._ask(lambda api: api.v1.payment_intents.create_async(cast(Any, params), options))
        )

    async def retrieve(self, payment_intent: str) -> PaymentView:
        """A payment intent as it is now."""
        params = {"expand": ["latest_charge"]}
        return payment_view(
            await self._get(
                lambda api: api.v1.payment_intents.retrieve_async(payment_intent, cast(Any, params))
            )
        )

    async def cancel(self, payment_intent: str) -> CancelOutcome:
        """End an intent that has not been paid. Cancelled already counts as Cancelled.

        Twice is once without a key of ours, under which Stripe would repeat a 500 for a day.
        """
        answer = await self._ask(lambda api: api.v1.payment_intents.cancel_async(payment_intent))
        match answer:
            case Refused(intent=None):
                return Unknown("unexpected_answer")
            case Refused(intent=intent):
                status = str((intent or {}).get("status"))
                return (
                    Cancelled(payment_intent)
                    if status == "canceled"
                    else NotCancellable(payment_intent, status)
                )
            case Unknown() | RateLimited():
                return answer
            case _:
                return Cancelled(payment_intent)

    async def list_for_customer(
        self, customer: str, created_after: float, at_most: int = 1_000
    ) -> PaymentViews:
        """A customer's payment intents since then (Unix seconds), newest first. Sees its own writes."""
        params = {"customer": customer, "expand": ["data.latest_charge"]}
        found, complete = await self._pages(
            lambda api, page: api.v1.payment_intents.list_async(cast(Any, params | page)),
            created_after,
            at_most,
        )
        return PaymentViews(tuple(payment_view(intent) for intent in found), complete)

    async def payments_between(
        self, created_after: float, created_before: float
    ) -> AsyncIterator[PaymentView]:
        """Every payment intent made in that time (Unix seconds), newest first, a page at a time."""
        params = {"expand": ["data.latest_charge"]}
        async for intent in self._each(
            lambda api, page: api.v1.payment_intents.list_async(cast(Any, params | page)),
            {"gte": int(created_after), "lt": int(created_before)},
        ):
            yield payment_view(intent)

    async def refund(
        self,
        payment_intent: str,
        amount_minor: int | None,
        idempotency_key: str,
        *,
        refund_id: str | None = None,
    ) -> RefundOutcome:
        """Give back part, or with None all that is left. Stripe never gives back more than was taken.

        Our own id of it is `metadata.refund` at Stripe.
        """
        params: dict[str, Any] = {"payment_intent": payment_intent}
        params |= {"amount": amount_minor} if amount_minor is not None else {}
        params |= {"metadata": {"refund": refund_id}} if refund_id else {}
        options = _key(idempotency_key)
        answer = await self._ask(lambda api: api.v1.refunds.create_async(cast(Any, params), options))
        match answer:
            case Refused():
                return RefundRefused(answer.code, answer.message)
            case Unknown() | RateLimited():
                return answer
            case _:
                return Refunded(answer["id"], answer["amount"], answer["status"])

    async def list_refunds(self, payment_intent: str, at_most: int = 1_000) -> tuple[RefundView, ...]:
        """A payment's refunds, newest first. Sees its own writes. Past `at_most`: ProviderRefused."""
        params = {"payment_intent": payment_intent}
        found, complete = await self._pages(
            lambda api, page: api.v1.refunds.list_async(cast(Any, params | page)), 0, at_most
        )
        if not complete:
            raise error_of(Refused("too_many_refunds", None, f"more than {at_most} refunds of one payment"))
        return tuple(map(refund_view, found))

    async def events_between(
        self, created_after: float, created_before: float | None = None, types: Iterable[str] = ()
    ) -> AsyncIterator[Event]:
        """Every event of that time (Unix seconds), newest first, a page at a time. Kept for 30 days."""
        params: Answer = {"types": list(types)} if types else {}
        created = {"gte": int(created_after)}
        created |= {"lt": int(created_before)} if created_before is not None else {}
        async for raw in self._each(
            lambda api, page: api.v1.events.list_async(cast(Any, params | page)), created
        ):
            yield event_from(raw)

    # The way to Stripe

    async def _pages(self, fetch: Fetch, created_after: float, at_most: int) -> tuple[list[Answer], bool]:
        """The newest, at most so many, and whether that is all."""
        found: list[Answer] = []
        async with contextlib.aclosing(self._each(fetch, {"gte": int(created_after)})) as each:
            async for one in each:
                if len(found) == at_most:
                    return found, False
                found.append(one)
        return found, True

    async def _each(self, fetch: Fetch, created: Answer) -> AsyncGenerator[Answer, None]:
        page: Answer = {"limit": _PAGE, "created": created}
        while True:
            asked = dict(page)
            answer = await self._get(lambda api, asked=asked: fetch(api, asked))  # type: ignore[misc]
            for one in answer["data"]:
                yield one
            if not answer["has_more"]:
                return
            page["starting_after"] = answer["data"][-1]["id"]

    async def _get(self, work: Work) -> Answer:
        """The answer, or a PaymentError."""
        answer = await self._ask(work)
        if isinstance(answer, dict):
            return answer
        raise error_of(answer)

    async def _ask(self, work: Work) -> Answer | Failure:
        """One call, in its turn, with its deadline. Whatever goes wrong is a Failure, not an exception."""
        if self._turns is not None:
            wait_s = await self._turns.take()
            if wait_s is None:
                return RateLimited(self._turns.wait_s())
            await asyncio.sleep(wait_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                return (await work(self._api())).to_dict()
        except Exception as error:
            return failure_of(error)

    def _api(self) -> stripe.StripeClient:
        """Made at the first call, since its connections belong to the running loop."""
        if self._client is None:
            self._http = self._connections()
            addresses = cast(Any, {"api": self._base_url} if self._base_url else {})
            self._client = stripe.StripeClient(
                self._secret_key, base_addresses=addresses, http_client=self._http, max_network_retries=0
            )
        return self._client

    def _connections(self) -> stripe.AIOHTTPClient:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        if self._base_url and urlsplit(self._base_url).scheme == "http":
            return stripe.AIOHTTPClient(timeout=timeout, connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        return stripe.AIOHTTPClient(timeout=timeout)


def _key(idempotency_key: str) -> stripe.RequestOptions:
    return {"idempotency_key": idempotency_key}
