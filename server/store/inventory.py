"""The gate in Redis or Valkey, as Python calls. Its rules and their reasons are in inventory.lua."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError, ResponseError

from server.checkout.ports import GateDown
from server.shop.allocation import LineRefused
from server.shop.gate import (
    GateAnswer,
    GateClosed,
    GateRecord,
    GateRefused,
    GateReused,
    GateVariant,
    GateView,
    Held,
    StockRow,
)
from server.shop.ids import OrderId, ShopId, UserId
from server.store.batch import Batcher, BatcherFull
from server.store.gate_link import LinkDown, LinkFull, ReplyError

NO_FLASHES: Mapping[str, str] = {}
_MISSING = ("Function not found", "NOSCRIPT")


@dataclass(frozen=True, slots=True)
class _Call:
    function: str
    shop_id: ShopId
    arguments: tuple[str | int, ...]

    def words(self) -> tuple[str | int, ...]:
        tag = f"hawker:gate:{{{self.shop_id}}}"
        keys = (f"{tag}:variants", f"{tag}:orders", f"{tag}:holds", f"{tag}:buyers")
        return ("FCALL", self.function, len(keys), *keys, *self.arguments)


class Line(Protocol):
    """Carries single commands to the server (store.gate_link)."""

    async def call(self, *words: str | bytes | int) -> Any: ...


class RedisInventory:
    """A shop's gate. Safe to share between tasks; calls made together travel together.

    The client must not repeat commands by itself and must have deadlines. With a `link` calls go that way,
    some times faster; a cluster needs the client. Every method raises GateDown.
    """

    def __init__(
        self, redis: Redis | RedisCluster, *, link: Line | None = None, deadline_s: float = 2.0
    ) -> None:
        self._redis, self._link, self._deadline_s = redis, link, deadline_s
        self._loading: asyncio.Task[None] | None = None
        self._loaded = False
        self._calls = Batcher[_Call, Any](self._travel, max_batch=128, max_waiting=20_000, parallel=2)

    async def reserve(
        self, shop_id: ShopId, order_id: OrderId, buyer: UserId, lines: Sequence[tuple[str, int]], ttl_ms: int
    ) -> GateAnswer:
        """Hold (variant, units) lines for an order, all or none."""
        flat = [word for line in sorted(lines) for word in line]
        return _answer(await self._call("reserve", shop_id, order_id, buyer, ttl_ms, *flat))

    async def begin(self, shop_id: ShopId, order_id: OrderId) -> bool:
        """The order is in PostgreSQL. False: the gate has no record of it (it was wiped)."""
        return bool(await self._call("begin", shop_id, order_id))

    async def confirm(self, shop_id: ShopId, order_id: OrderId) -> bool:
        return bool(await self._call("confirm", shop_id, order_id))

    async def release(self, shop_id: ShopId, order_id: OrderId, *, only_held: bool = False) -> bool:
        return bool(await self._call("release", shop_id, order_id, "1" if only_held else ""))

    async def restore(
        self,
        shop_id: ShopId,
        order_id: OrderId,
        buyer: str,
        lines: Sequence[tuple[str, int]],
        flashes: Mapping[str, str] = NO_FLASHES,
        *,
        counted: bool = False,
    ) -> bool:
        """A record of an order that PostgreSQL has. `counted`: its units are new for its buyer."""
        record = _record_text(buyer, lines, flashes)
        return bool(await self._call("restore", shop_id, order_id, record, "1" if counted else ""))

    async def set_terms(self, shop_id: ShopId, row: StockRow) -> bool:
        """Set what the gate must know of the ways the variant is sold. False: newer ones are set."""
        words = (row.variant_id, row.version, row.terms.text(), row.position)
        return bool(await self._call("terms", shop_id, *words))

    async def set_available(self, shop_id: ShopId, variant_id: str, delta: int, version: int) -> bool:
        """Stock that the shop added or took away (negative), as of the stock row's `version`."""
        return bool(await self._call("adjust", shop_id, variant_id, delta, version))

    async def forget(
        self,
        shop_id: ShopId,
        buyer: str,
        lines: Sequence[tuple[str, int]],
        flashes: Mapping[str, str] = NO_FLASHES,
    ) -> None:
        """Units of a refunded order no longer count for its buyer."""
        await self._call("forget", shop_id, _record_text(buyer, lines, flashes))

    async def load(
        self,
        shop_id: ShopId,
        variant_id: str,
        *,
        seen_changes: str,
        available: int,
        buyer_limit: int,
        version: int,
        bought: Sequence[tuple[str, int]] = (),
    ) -> bool:
        """Set a variant from PostgreSQL; False when it moved since `seen_changes` ('' for unknown)."""
        flat = [word for pair in bought for word in pair]
        numbers = (available, buyer_limit, version)
        return bool(await self._call("load", shop_id, variant_id, seen_changes, *numbers, *flat))

    async def read(self, shop_id: ShopId) -> GateView:
        fields, records = await self._call("look", shop_id)
        return _view(_pairs(fields), _pairs(records))

    async def _call(self, function: str, shop_id: ShopId, *arguments: str | int) -> Any:
        call = _Call(f"hawker_{function}", shop_id, arguments)
        try:
            return await (self._calls(call) if self._link is None else self._by_link(self._link, call))
        except (RedisError, OSError, TimeoutError, BatcherFull, LinkDown, LinkFull, ReplyError) as error:
            raise GateDown(f"{type(error).__name__}: {error}") from error

    async def _by_link(self, link: Line, call: _Call) -> Any:
        words = call.words()
        if not self._loaded:  # the store may hold the functions of an older program
            await self._load_once()
        try:
            return await link.call(*words)
        except ReplyError as error:  # a new or wiped server: nothing was carried out
            if not any(text in str(error) for text in _MISSING):
                raise
        await self._load_once()
        return await link.call(*words)

    async def _load_once(self) -> None:
        """One load for all who miss the library at the same time."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self.load_library())
        await asyncio.shield(self._loading)

    async def _travel(self, calls: list[_Call]) -> list[Any]:
        async with asyncio.timeout(self._deadline_s):
            if not self._loaded:  # the store may hold the functions of an older program
                await self.load_library()
            answers = await self._pipeline(calls)
            missing = [n for n, answer in enumerate(answers) if _is_missing(answer)]
            if missing:  # a new or wiped server: nothing was carried out
                await self.load_library()
                again = await self._pipeline([calls[n] for n in missing])
                for n, answer in zip(missing, again, strict=True):
                    answers[n] = answer
            return answers

    async def _pipeline(self, calls: list[_Call]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call.words())
        return list(await pipeline.execute(raise_on_error=False))

    async def load_library(self) -> None:
        """Put the functions on every primary. Calls do it by themselves where they are missing."""
        source = files("server.store").joinpath("inventory.lua").read_text()
        await self._redis.function_load(source, replace=True)
        self._loaded = True


def _is_missing(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and any(text in str(answer) for text in _MISSING)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _answer(words: list[Any]) -> GateAnswer:
    kind, *rest = map(_text, words)
    if kind == "closed":
        return GateClosed(tuple(rest))
    if kind == "reused":
        return GateReused()
    if kind == "refused":
        triples = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        return GateRefused(tuple(_line(variant, code, int(n)) for variant, code, n in triples))
    return Held(again=kind == "again", position=int(rest[-1]) or None)


def _line(variant_id: str, code: str, number: int) -> LineRefused:
    if code == "sold_out":
        return LineRefused(variant_id, code, available=number)
    if code == "not_open_yet":
        return LineRefused(variant_id, code, retry_after_ms=number)
    return LineRefused(variant_id, code, buyer_limit=number)


def _pairs(words: Any) -> dict[str, str]:
    if isinstance(words, dict):  # RESP3
        return {_text(key): _text(value) for key, value in words.items()}
    flat = [_text(word) for word in words]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _view(fields: dict[str, str], records: dict[str, str]) -> GateView:
    variants = {name[:-2] for name in fields if name.endswith(":a")}
    return GateView(
        variants={
            v: GateVariant(
                available=int(fields[f"{v}:a"]),
                buyer_limit=int(fields.get(f"{v}:l", 0)),
                changes=fields.get(f"{v}:c", ""),
                terms=fields.get(f"{v}:t", ""),
            )
            for v in variants
        },
        orders={order: _record(text) for order, text in records.items()},
        closed={
            name[:-2]: changes
            for name, changes in fields.items()
            if name.endswith(":c") and name[:-2] not in variants
        },
    )


def _record_text(buyer: str, lines: Sequence[tuple[str, int]], flashes: Mapping[str, str]) -> str:
    """A record as inventory.lua keeps it, of an order that is in PostgreSQL."""
    marked = [(v, units, flashes[v]) if v in flashes else (v, units) for v, units in sorted(lines)]
    return msgspec.json.encode({"b": buyer, "s": "paying", "l": marked}).decode()


def _record(text: str) -> GateRecord:
    raw = msgspec.json.decode(text)
    return GateRecord(raw["b"], raw["s"], tuple((line[0], int(line[1])) for line in raw["l"]))
