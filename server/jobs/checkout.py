"""All jobs of the checkout, with their rhythms. The composition root adds its own and runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from overlay.log import ShowLog
from server.checkout.ports import RoomNews
from server.checkout.wiring import Checkout
from server.jobs.archive import Archive
from server.jobs.charges import ActionDeadlines, EventSource, EventSweep, Refunds, StaleCharges, WebhookInbox
from server.jobs.gates import GateMender
from server.jobs.news import Handler, Publisher, RoomTeller
from server.jobs.runner import Job
from server.store.outbox import OutboxStore

TOLD_KEPT_S = 24 * 3600.0
NEWS_TICK_S = 0.05


def checkout_jobs(
    checkout: Checkout,
    news: RoomNews,
    log: ShowLog | None = None,
    *,
    mail: Mapping[str, Handler] | None = None,
    other_news: Mapping[str, Handler] | None = None,
    events: EventSource | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> list[Job]:
    """`mail` (jobs.news.OrderMail's) is published apart, since post is slow; `other_news` are further kinds
    of the outbox. Without `log` no show is archived, without `events` no lost webhook is looked for.
    """
    outbox = OutboxStore(checkout.pool)
    payments, orders = checkout.payments, checkout.orders
    rooms = RoomTeller(orders, checkout.stock, news).handlers() | dict(other_news or {})
    jobs = [
        Job("news", Publisher(outbox, "news", rooms).run, NEWS_TICK_S),
        Job("charges", StaleCharges(payments, checkout.charger).run, 0.5),
        Job("deadlines", ActionDeadlines(payments, orders, checkout.buyer).run, 1.0),
        Job("webhooks", WebhookInbox(payments, checkout.gateway, checkout.settler).run, 0.25),
        Job("refunds", Refunds(payments, orders, checkout.gateway, checkout.gate).run, 0.5),
        Job("gates", GateMender(checkout.pool, checkout.stock, checkout.gatekeeper).run, 2.0, eager=False),
        Job("told", partial(outbox.prune, TOLD_KEPT_S), 300.0),
    ]
    if mail:
        jobs.append(Job("mail", Publisher(outbox, "mail", mail).run, 1.0))
    if log:
        jobs.append(Job("archive", Archive(checkout.pool, log).run, 2.0, eager=False))
    if events:
        jobs.append(Job("sweep", EventSweep(payments, events, wall_clock).run, 60.0, eager=False))
    return jobs
