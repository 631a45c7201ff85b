"""A room whose every frame the test sends itself, on the demo's real pages: states that else take minutes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import uuid_utils
from playwright.sync_api import Page, WebSocketRoute

from tests.browser.conftest import until

Frame = dict[str, Any]
Answer = Callable[[Frame], list[Frame]]
VIEWER = ["say", "react", "buy", "join_waitlist", "leave_waitlist", "bid", "retract_bid"]


def now_ms(plus_s: float = 0) -> int:
    return int((time.time() + plus_s) * 1000)


def empty_room() -> Frame:
    room: Frame = {"show_state": "live", "picture": "live", "pin": None, "comments": [], "stock": {}}
    return room | {"muted": {}, "flashes": {}, "drops": {}, "auctions": {}}


def card_of(product: dict[str, Any], currency: str = "EUR") -> Frame:
    image = product["images"][0] if product["images"] else {}
    variants = [
        {"variant_id": v["id"]} | {k: v[k] for k in ("title", "price_minor", "available", "buyer_limit")}
        for v in product["variants"]
    ]
    return {
        "product_id": product["id"],
        "title": product["title"],
        "currency": currency,
        "variants": variants,
        "image_url": image.get("url"),
        "image_alt": image.get("alt", ""),
        "handle": product["handle"],
    }


class Stage:
    """Answers the page's websocket in the room's stead. Commands it has no answer for are kept in `sent`."""

    def __init__(
        self, page: Page, *, may: list[str] = VIEWER, roles: list[str] | None = None, user: str | None = "u1"
    ) -> None:
        self._sockets: list[WebSocketRoute] = []
        self._number = 0
        self._welcomed = False
        self.cut = False
        self.sent: list[Frame] = []
        self.answers: dict[str, Answer] = {}
        self.you = {"user_id": user, "name": "Ana", "roles": roles or [], "may": may}
        self.snapshot = empty_room()
        page.route_web_socket(re.compile(r".*"), self._met)

    def _met(self, socket: WebSocketRoute) -> None:
        if self.cut:
            socket.close(code=1012)
            return
        self._sockets.append(socket)
        socket.on_message(lambda text: self._heard(socket, json.loads(text)))

    def _heard(self, socket: WebSocketRoute, frame: Frame) -> None:
        if frame["type"] == "hello":
            offset = {"epoch": "staged", "number": self._number}
            welcome = {"type": "welcome", "protocol": 1, "you": self.you, "now_ms": now_ms()}
            whole = {"offset": offset, "snapshot": self.snapshot | {"offset": offset}}
            socket.send(json.dumps(welcome | whole))
            self._welcomed = True
            return
        self.sent.append(frame)
        for answer in self.answers.get(frame["type"], lambda _: [])(frame):
            socket.send(json.dumps({"id": frame["id"]} | answer))

    def wait(self, page: Page) -> None:
        """Until the page has come into the room."""
        until(lambda: self._welcomed, page)

    def cut_off(self) -> None:
        """Close the line and answer no other, until `cut` is false again."""
        self.cut = True
        self._sockets[-1].close(code=1012)

    def reset(self) -> None:
        """Start over from the snapshot as it is now."""
        offset = {"epoch": "staged", "number": self._number}
        self.tell({"type": "reset", "snapshot": self.snapshot | {"offset": offset}})

    def events(self, *events: Frame) -> None:
        """Append to the show log as far as the page can tell."""
        numbered = []
        for event in events:
            self._number += 1
            numbered.append({"n": self._number, "at_ms": now_ms()} | event)
        self.tell({"type": "events", "epoch": "staged", "events": numbered})

    def tell(self, frame: Frame) -> None:
        """Say something to this person alone."""
        self._sockets[-1].send(json.dumps(frame))


def flash(variant: Frame, *, seconds: float, price_minor: int) -> Frame:
    return {
        "flash_id": "f1",
        "variant_id": variant["id"],
        "price_minor": price_minor,
        "was_minor": variant["price_minor"],
        "starts_ms": now_ms(),
        "ends_ms": now_ms(seconds),
        "buyer_limit": 2,
    }


def drop(product: dict[str, Any], *, opens_in_s: float, state: str = "scheduled", waiting: int = 0) -> Frame:
    return {
        "drop_id": f"drop-{product['handle']}",
        "variant_id": product["variants"][0]["id"],
        "card": card_of(product),
        "state": state,
        "opens_ms": now_ms(opens_in_s),
        "units": 20,
        "waiting": waiting,
    }


def auction(product: dict[str, Any], *, state: str = "open", seconds: float = 60, **more: Any) -> Frame:
    view = {
        "auction_id": f"auction-{uuid_utils.uuid7()}",
        "variant_id": product["variants"][0]["id"],
        "card": card_of(product),
        "state": state,
        "start_minor": 1000,
        "increment_minor": 100,
        "duration_s": 60,
        "extension_s": 10,
        "latency_window_ms": 800,
        "price_minor": 1000,
        "next_minor": 1000,
        "ends_ms": now_ms(seconds) if state != "announced" else None,
        "cap_ms": now_ms(seconds + 300) if state != "announced" else None,
    }
    return view | more


def bid(number: int, alias: str, amount_minor: int) -> Frame:
    return {"bid_n": number, "alias": alias, "amount_minor": amount_minor, "at_ms": now_ms()}


def bids_placed(view: Frame, *bids: Frame, **more: Any) -> Frame:
    last = bids[-1]
    placed = {
        "type": "bids_placed",
        "auction_id": view["auction_id"],
        "bids": list(bids),
        "price_minor": last["amount_minor"],
        "next_minor": last["amount_minor"] + view["increment_minor"],
        "count": last["bid_n"],
        "leader": last["alias"],
        "ends_ms": view["ends_ms"],
    }
    return placed | more
