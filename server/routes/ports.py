"""What the routes need from the checkout, the rooms and the payment provider, as small protocols.

Any may raise what `errors` turns into answers: Refusal, Problem, NotPossible, NoSuchVariant, PaymentError.
"""

from __future__ import annotations

from typing import Any, Protocol

from overlay.messages import OrderView
from overlay.selling import PlaceView
from server.payments.outcomes import CardView, CustomerRef, SetupIntentView
from server.shop.ids import OrderId, ShopId, UserId
from server.shop.wish import Wish
from server.store.waitlist import PlaceRow


class Tap(Protocol):
    """checkout.tap.Tap"""

    async def buy(self, wish: Wish) -> OrderView:
        """Returns once the order is durable; charging goes on by itself."""
        ...


class Buyer(Protocol):
    """checkout.buyer.Buyer: what a buyer does with an order of theirs."""

    async def authenticated(self, order_id: OrderId, user_id: UserId) -> OrderView: ...

    async def cancel(self, order_id: OrderId, user_id: UserId) -> OrderView: ...

    async def retry(self, order_id: OrderId, user_id: UserId, card_id: str) -> OrderView: ...


class Shopkeeper(Protocol):
    """checkout.shopkeeper.Shopkeeper: what staff do with orders, stock and prices; the rooms are told."""

    async def refund(
        self,
        order_id: OrderId,
        amount_minor: int,
        reason: str,
        actor_id: str,
        *,
        refund_id: str | None = None,
        restock: bool = False,
    ) -> object: ...

    async def owed_paid(self, order_id: OrderId, how: str, actor_id: str) -> object: ...

    async def fulfil(self, order_id: OrderId, actor_id: str) -> object: ...

    async def set_stock(
        self, shop_id: ShopId, variant_id: str, available: int, actor_id: str | None
    ) -> int: ...

    async def set_price(
        self, shop_id: ShopId, variant_id: str, price_minor: int, actor_id: str | None
    ) -> None: ...


class Waitlists(Protocol):
    """checkout.ways.waitlists.Waitlists: a person's places in line."""

    async def join(self, variant_id: str, user_id: str, quantity: int) -> PlaceView: ...

    async def leave(self, variant_id: str, user_id: str) -> PlaceView | None: ...

    async def of_user(self, user_id: str) -> list[PlaceRow]: ...


class Inbox(Protocol):
    """store.payments.PaymentStore, as far as webhooks come in."""

    async def receive_webhook(self, event_id: str, kind: str, payload: dict[str, Any]) -> bool: ...


class Rooms(Protocol):
    """Where a show's state is told: its room, and the media nodes. Telling twice is one event."""

    async def show_started(self, show_id: str, by: str) -> None: ...

    async def show_ended(self, show_id: str, by: str) -> None: ...


class CardGateway(Protocol):
    """payments.gateway.StripeGateway, as far as saving a card goes."""

    async def create_customer(self, user_id: str, email: str, idempotency_key: str) -> CustomerRef: ...

    async def create_setup_intent(self, customer: str, idempotency_key: str) -> SetupIntentView: ...

    async def retrieve_setup_intent(self, setup_intent: str) -> SetupIntentView: ...

    async def retrieve_payment_method(self, payment_method: str) -> CardView: ...

    async def detach(self, payment_method: str) -> None: ...
