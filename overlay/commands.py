"""What each command does: check, act, append the event, answer.

An answer is always given: an `ack`, or a `refused` with a stable code. A command whose event is in the log
already is answered from there, so repeating one after a lost answer, here or elsewhere, does nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable
from hashlib import blake2b
from typing import TypeVar

from overlay.frames import (
    Command,
    ShowState,
    UserId,
)
from overlay.live import LiveRoom
from overlay.log import LogUnavailable, ShowLog
from overlay.messages import (
    Ack,
    AnyCommand,
    AnyEvent,
    Buy,
    CommentDeleted,
    Commented,
    DeleteComment,
    EndShow,
    Mute,
    Muted,
    Pin,
    Pinned,
    PriceChanged,
    React,
    Refused,
    Say,
    SetPrice,
    SetStock,
    ShowEnded,
    ShowStarted,
    StartShow,
    StockChanged,
    Unmute,
    Unmuted,
    Unpin,
    Unpinned,
)
from overlay.moderation import Meter, badge, cleaned, permit, permit_mute, permit_words
from overlay.ports import Actor, Clock, Refusal, Shop
from overlay.selling import SellingCommand

logger = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_AFTER_MS = 1_000
ANSWERS_KEPT = 20_000


class Commands:
    """Carries out commands of people in rooms. One for a process."""

    def __init__(self, shop: Shop, log: ShowLog, meter: Meter, clock: Clock, *, deadline_s: float) -> None:
        self._shop = shop
        self._log = log
        self._meter = meter
        self._clock = clock
        self._deadline_s = deadline_s
        self._answers: OrderedDict[tuple[str, str], Ack] = OrderedDict()

    async def answer(self, room: LiveRoom, actor: Actor, command: AnyCommand) -> Ack | Refused:
        """Never raises but for cancellation."""
        key = (room.show_id, event_id(actor, command))
        if known := self._answers.get(key):
            return known
        try:
            ack = await self._carry_out(room, actor, command)
        except Refusal as refusal:
            return refused(command.id, refusal)
        except (LogUnavailable, TimeoutError) as error:
            logger.warning("%s could not be carried out: %s", type_of(command), error or "deadline passed")
            return _unavailable(command.id)
        except Exception:
            logger.exception("%s failed", type_of(command))
            return _unavailable(command.id)
        if not isinstance(command, Buy | SellingCommand):
            self._keep(key, ack)
        return ack

    def _keep(self, key: tuple[str, str], ack: Ack) -> None:
        """Not what the shop said: it does nothing twice, either, and says what is so by now."""
        self._answers[key] = ack
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    async def _carry_out(self, room: LiveRoom, actor: Actor, command: AnyCommand) -> Ack:
        kind = type_of(command)
        permit(actor, kind)
        assert actor.user_id is not None
        self._meter.take(f"{room.show_id}:{actor.user_id}", kind, self._clock())
        match command:
            case Say():
                return await self._say(room, actor, actor.user_id, command)
            case React():
                room.crowd.react(command.kind.value, command.count)
                return Ack(id=command.id)
            case Buy():
                order = await self._in_time(self._shop.buy(room.show_id, actor, command))
                return Ack(id=command.id, order=order)
        if isinstance(command, SellingCommand):
            sold = await self._in_time(self._shop.sell(room.show_id, actor, command))
            return Ack(id=command.id, place=sold.place, standing=sold.standing)
        if before := await self._log.seen(room.show_id, event_id(actor, command)):
            return Ack(id=command.id, n=before.number)
        event = await self._in_time(self._act(room, actor, actor.user_id, command))
        return await self._append(room, actor, command, event)

    async def _say(self, room: LiveRoom, actor: Actor, user_id: UserId, command: Say) -> Ack:
        now_ms, text = self._clock(), cleaned(command.text)
        permit_words(room.state, actor, now_ms)
        if not text:
            raise Refusal("bad_command", "The comment is empty.")
        if room.state.show_state is ShowState.ENDED:
            raise Refusal("wrong_state", "The show has ended.")
        event = Commented(
            n=0,
            at_ms=now_ms,
            comment_id=comment_id(room.show_id, event_id(actor, command)),
            user_id=user_id,
            name=actor.name,
            text=text,
            reply_to=command.reply_to,
            badge=badge(actor),
        )
        return await self._append(room, actor, command, event)

    async def _act(self, room: LiveRoom, actor: Actor, by: UserId, command: AnyCommand) -> AnyEvent:
        """Does what the shop must do for a command, and returns what has happened then."""
        show_id, now_ms = room.show_id, self._clock()
        match command:
            case DeleteComment():
                if all(view.comment_id != command.comment_id for view in room.state.comments):
                    raise Refusal("no_such_comment", "This comment is not there any more.")
                return CommentDeleted(n=0, at_ms=now_ms, by=by, comment_id=command.comment_id)
            case Mute():
                permit_mute(actor, command.user_id, room.badge_of(command.user_id))
                until_ms = now_ms + command.duration_s * 1000 if command.duration_s else None
                return Muted(n=0, at_ms=now_ms, by=by, user_id=command.user_id, until_ms=until_ms)
            case Unmute():
                return Unmuted(n=0, at_ms=now_ms, by=by, user_id=command.user_id)
            case Pin():
                card = await self._shop.card(show_id, command.product_id)
                await self._shop.pinned(show_id, command.product_id, by)
                return Pinned(n=0, at_ms=now_ms, by=by, card=card)
            case Unpin():
                await self._shop.pinned(show_id, None, by)
                return Unpinned(n=0, at_ms=now_ms, by=by)
            case SetStock():
                available = await self._shop.set_stock(show_id, command.variant_id, command.available, by)
                return StockChanged(
                    n=0, at_ms=now_ms, by=by, variant_id=command.variant_id, available=available
                )
            case SetPrice():
                price = await self._shop.set_price(show_id, command.variant_id, command.price_minor, by)
                return PriceChanged(
                    n=0,
                    at_ms=now_ms,
                    by=by,
                    variant_id=command.variant_id,
                    price_minor=price.price_minor,
                    compare_at_minor=price.compare_at_minor,
                )
            case StartShow():
                _expect(room, ShowState.SCHEDULED, "A show is started once.")
                await self._shop.set_show_state(show_id, ShowState.LIVE, by)
                return ShowStarted(n=0, at_ms=now_ms, by=by)
            case EndShow():
                _expect(room, ShowState.LIVE, "Only a live show can be ended.")
                await self._shop.set_show_state(show_id, ShowState.ENDED, by)
                return ShowEnded(n=0, at_ms=now_ms, by=by)
        raise AssertionError(f"no rule for {command!r}")

    async def _append(self, room: LiveRoom, actor: Actor, command: Command, event: AnyEvent) -> Ack:
        offset = await self._log.append(room.show_id, event_id(actor, command), event)
        return Ack(id=command.id, n=offset.number)

    async def _in_time(self, work: Awaitable[T]) -> T:
        async with asyncio.timeout(self._deadline_s):
            return await work


def type_of(command: Command) -> str:
    return str(type(command).__struct_config__.tag)


def event_id(actor: Actor, command: Command) -> str:
    """What makes a command happen once: the person and the id they gave it."""
    return f"{actor.user_id}:{command.id}"


def comment_id(show_id: str, of_event: str) -> str:
    """The same for the same command, so that a comment said again is the same comment."""
    return blake2b(f"{show_id}:{of_event}".encode(), digest_size=12).hexdigest()


def refused(command_id: str | None, refusal: Refusal) -> Refused:
    return Refused(
        id=command_id,
        code=refusal.code,
        reason=refusal.reason,
        retry_after_ms=refusal.retry_after_ms,
        lines=refusal.lines,
    )


def _unavailable(command_id: str) -> Refused:
    reason = "The shop's server did not answer. Try again in a moment."
    return Refused(id=command_id, code="unavailable", reason=reason, retry_after_ms=RETRY_AFTER_MS)


def _expect(room: LiveRoom, state: ShowState, reason: str) -> None:
    if room.state.show_state is not state:
        raise Refusal("wrong_state", reason)
