"""One API call at work: what a handler may read and change, and how its objects leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.payments.simulator import form
from server.payments.simulator.errors import InvalidRequest, Missing, Unauthorized
from server.payments.simulator.ledger import Ledger, Obj, new_id

API_VERSION = "2026-10-28.endive"
PAGE = {
    "limit": form.integer,
    "starting_after": form.text,
    "ending_before": form.text,
    "expand": form.listing(form.text),
}
EXPAND = {"expand": form.listing(form.text)}


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets. `now` is in whole seconds; `browser` is true for a publishable key. Lists don't
    have what was made within the last `list_lag_s`.
    """

    ledger: Ledger
    now: int
    path: str
    browser: bool
    idempotency_key: str | None
    announce: Callable[[Obj], None]
    list_lag_s: float = 0.0

    def fetch(self, kind: str, object_id: str, param: str = "id") -> Obj:
        """The object, or Stripe's "No such …"."""
        found = self.ledger.get(kind, object_id)
        if found is None or found.get("deleted"):
            raise Missing(kind, object_id, param)
        return found

    def save(self, obj: Obj, *events: str) -> Obj:
        """Write an object, and the events that tell of it."""
        self.ledger.put(obj)
        for event in events:
            self.emit(event, obj)
        return obj

    def emit(self, event_type: str, obj: Obj) -> None:
        """Record an event with a snapshot of the object, and queue its webhook."""
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": {"object": public(obj)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": self.idempotency_key},
            "type": event_type,
        }
        self.ledger.put(event)
        self.announce(event)

    def page(self, kind: str, params: Mapping[str, Any], match: Mapping[str, Any] | None = None) -> Obj:
        """A list object, newest first."""
        limit = params.get("limit", 10)
        if not 1 <= limit <= 100:
            raise InvalidRequest(
                "limit must be between 1 and 100.", code="parameter_invalid_integer", param="limit"
            )
        for name in ("starting_after", "ending_before"):
            if params.get(name) and self.ledger.get(kind, params[name]) is None:
                raise Missing(kind, params[name], name)
        before = params.get("ending_before")
        wanted = {name: value for name, value in (match or {}).items() if value is not None}
        created = dict(params.get("created") or {})
        if self.list_lag_s:
            created["lt"] = min(created.get("lt", self.now), int(self.now - self.list_lag_s))
        found = self.ledger.find(
            kind,
            wanted,
            created,
            after=params.get("starting_after"),
            before=before,
            limit=limit + 1,
        )
        kept = found[-limit:] if before else found[:limit]
        return listed(self.path, kept, has_more=len(found) > limit)

    def expanded(self, obj: Obj, paths: list[str]) -> Obj:
        """Replace ids by the objects they name, as `expand[]` asks."""
        for path in paths:
            if len(path.split(".")) > 4:
                raise InvalidRequest("You cannot expand more than 4 levels.", param="expand")
            self._expand(obj, path.split("."), path)
        return obj

    def _expand(self, obj: Obj, steps: list[str], path: str) -> None:
        name, rest = steps[0], steps[1:]
        if name == "refunds" and obj.get("object") == "charge":
            refunds = self.ledger.find("refund", {"charge": obj["id"]}, limit=10)
            obj[name] = listed("/v1/refunds", [public(refund) for refund in refunds], has_more=False)
        elif name not in obj:
            raise InvalidRequest(f"This property cannot be expanded ({path}).", param="expand")
        value = obj[name]
        if isinstance(value, str):
            value = self.ledger.lookup(value)
            if value is None:
                raise InvalidRequest(f"This property cannot be expanded ({path}).", param="expand")
            value = obj[name] = public(value)
        for child in value if isinstance(value, list) else [value]:
            if rest and isinstance(child, dict):
                self._expand(child, rest, path)


def listed(url: str, data: list[Obj], *, has_more: bool) -> Obj:
    """Stripe's list object."""
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def public(obj: Obj) -> Obj:
    """The object without what only the simulator knows."""
    return {
        key: [public(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in obj.items()
        if not key.startswith("_")
    }


def merge_metadata(obj: Obj, changes: Mapping[str, str]) -> None:
    """Stripe's rule: keys are merged, an empty value removes its key."""
    merged = obj["metadata"] | changes
    obj["metadata"] = {key: value for key, value in merged.items() if value != ""}


def check_secret(call: Call, obj: Obj, given: str | None) -> None:
    """A browser proves with the client secret that the intent is its own."""
    if call.browser and given != obj["client_secret"]:
        noun = obj["object"]
        raise Unauthorized(
            f"The client_secret provided does not match this {noun}.", code=f"{noun}_client_secret_mismatch"
        )
