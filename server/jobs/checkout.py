"""All jobs of the checkout, with their rhythms. The composition root adds its own and runs them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from overlay.log import ShowLog
from server.checkout.ports import RoomNews
from server.checkout.wiring import Checkout
from server.jobs.archive import Archive
from server.jobs.auctions import auction_jobs
from server.jobs.books import VerifyBooks
from server.jobs.charges import ActionDeadlines, StaleCharges, WebhookInbox
from server.jobs.gates import GateMender
from server.jobs.news import Handler, Publisher, RoomTeller
from server.jobs.provider_audit import PaymentSource, ProviderAudit
from server.jobs.refunds import PROOF_S, Refunds
from server.jobs.runner import Job
from server.jobs.sweep import EventSource, EventSweep
from server.jobs.ways import ways_jobs, ways_news
from server.store.book_checks import LONGEST_RUN_S, BookChecks, JobMarks
from server.store.ledger import Sealer
from server.store.outbox import OutboxStore
from server.store.payment_comparison import ComparisonStore
from server.store.verify import Report

TOLD_KEPT_S = 24 * 3600.0
NEWS_TICK_S = 0.05
SWEEP_S = 60.0
SWEEP_DEADLINE_S = 600.0  # a crowd's events are many pages


def checkout_jobs(
    checkout: Checkout,
    news: RoomNews,
    log: ShowLog | None = None,
    *,
    mail: Mapping[str, Handler] | None = None,
    other_news: Mapping[str, Handler] | None = None,
    events: EventSource | None = None,
    provider: PaymentSource | None = None,
    verify: Callable[[], Awaitable[Report]] | None = None,
    wall_clock: Callable[[], float] = time.time,
    refund_proof_s: float = PROOF_S,
    sweep_s: float = SWEEP_S,
) -> list[Job]:
    """`mail` (jobs.news.OrderMail's) is published apart, since post is slow; `other_news` are further kinds
    of the outbox. Without `log` no show is archived, without `events` no lost webhook is looked for, without
    `provider` and `verify` (store.verify) the books are not compared and not proven every day.
    """
    outbox = OutboxStore(checkout.pool)
    payments, orders = checkout.payments, checkout.orders
    gateway, book = checkout.gateway, checkout.refund_book
    rooms = RoomTeller(orders, checkout.stock, news).handlers() | dict(other_news or {})
    rooms |= ways_news(checkout.ways)
    jobs = [
        Job("news", Publisher(outbox, "news", rooms).run, NEWS_TICK_S),
        Job("charges", StaleCharges(payments, checkout.charger).run, 0.5),
        Job("deadlines", ActionDeadlines(payments, orders, checkout.buyer).run, 1.0),
        Job("webhooks", WebhookInbox(payments, gateway, checkout.settler, book).run, 0.25),
        Job("refunds", Refunds(checkout.refunds, book, gateway, proof_s=refund_proof_s).run, 0.5),
        Job("refund_runs", checkout.refund_runs.run, 1.0),
        Job("gates", GateMender(checkout.pool, checkout.stock, checkout.gatekeeper).run, 2.0, eager=False),
        Job("told", partial(outbox.prune, TOLD_KEPT_S), 300.0),
        *ways_jobs(checkout.ways),
        *auction_jobs(checkout.auctioneer),
        Job("seal", Sealer(checkout.pool).run, 1.0),
    ]
    if mail:
        jobs.append(Job("mail", Publisher(outbox, "mail", mail).run, 1.0))
    if log:
        jobs.append(Job("archive", Archive(checkout.pool, log).run, 2.0, eager=False))
    if events:
        sweep = EventSweep(payments, JobMarks(checkout.pool), events, wall_clock)
        jobs.append(Job("sweep", sweep.run, sweep_s, SWEEP_DEADLINE_S))
    return [*jobs, *_daily(checkout, provider, verify, wall_clock)]


def _daily(
    checkout: Checkout,
    provider: PaymentSource | None,
    verify: Callable[[], Awaitable[Report]] | None,
    wall_clock: Callable[[], float],
) -> list[Job]:
    """Asked for often, so that a worker that was down at the hour is no day late."""
    checks, marks, jobs = BookChecks(checkout.pool), JobMarks(checkout.pool), []
    if verify:
        jobs.append(Job("verify", VerifyBooks(checks, marks, verify).run, 60.0, LONGEST_RUN_S, eager=False))
    if provider:
        store, settle = ComparisonStore(checkout.pool), checkout.settler.payment
        look = checkout.refund_book.look
        audit = ProviderAudit(store, checks, marks, provider, settle, look, wall_clock)
        jobs.append(Job("provider_audit", audit.run, 60.0, LONGEST_RUN_S, eager=False))
    return jobs
