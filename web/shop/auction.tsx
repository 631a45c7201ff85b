/** An auction's public bid book: every bid, under pseudonyms, for everybody to read. */

import { useEffect, useMemo, useState } from 'preact/hooks';
import { api, httpClock } from '../core/api.ts';
import { dateTime, money } from '../core/format.ts';
import type { AuctionView, BidView } from '../core/protocol.ts';
import { auctionPhase, mergedBids, type AuctionPhase } from '../core/selling.ts';
import type { BidBook as Book } from '../core/types.ts';
import { BidBook } from '../ui/bid-book.tsx';
import { Button, LinkButton } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Picture } from '../ui/picture.tsx';
import { config } from '../ui/session.ts';
import { PageHead } from '../ui/shell.tsx';
import { Failed } from '../ui/start.tsx';
import { Badge, ProblemNote, Skeleton } from '../ui/status.tsx';
import { Ticks, useDerived } from '../ui/ticks.ts';
import { useDoing, useLoaded } from './loaded.ts';
import { Lost } from './lost.tsx';
import type { PageProps } from './routes.ts';

const ASK_EVERY_MS = 4_000;

export function AuctionPage({ params }: PageProps) {
  const id = params['id'] ?? '';
  const { value: book, problem, reload } = useLoaded(() => api.bidBook(id), id);
  const over = book && ['sold', 'unsold', 'cancelled'].includes(book.auction.state);
  useEffect(() => {
    if (book) document.title = `Bid book: ${book.auction.card.title} · ${config.value?.shop.name}`;
  }, [book]);
  useEffect(() => {
    if (over) return;
    const timer = setInterval(() => document.hidden || reload(), ASK_EVERY_MS);
    return () => clearInterval(timer);
  }, [over]);
  if (problem && !book)
    return problem.status === 404 || problem.status === 422 ? (
      <Lost icon="gavel" title="There is no such auction" action={<LinkButton href="/">See what is on</LinkButton>}>
        The address may be mistyped.
      </Lost>
    ) : (
      <Failed error={problem} retry={reload} />
    );
  if (!book) return <Skeleton height="14rem" />;
  return <Shown book={book} />;
}

const WORDS: Record<AuctionPhase, string> = {
  announced: 'Opens soon',
  open: 'Open',
  hammer: 'Closing',
  charging: 'The winner is paying',
  sold: 'Sold',
  unsold: 'Not sold',
  cancelled: 'Called off',
};

function Shown({ book }: { book: Book }) {
  const { auction, show_id } = book;
  const [older, setOlder] = useState<{ bids: readonly BidView[]; next: number | null } | null>(null);
  const more = useDoing();
  const bids = mergedBids(older?.bids ?? [], book.bids);
  const next = older ? older.next : book.next;
  const loadMore = () =>
    more.run(async () => {
      const page = await api.bidBook(auction.auction_id, { before: next });
      // Lines that the first page has moved on from meanwhile are kept.
      setOlder({ bids: mergedBids(bids, page.bids), next: page.next });
    });
  const ticks = useMemo(() => new Ticks(() => httpClock.serverNow(), () => (auction.state === 'open' && auction.ends_ms ? [auction.ends_ms] : [])), [auction]);
  useEffect(() => {
    ticks.poke();
    return () => ticks.stop();
  }, [ticks]);
  const phase = useDerived(() => auctionPhase(auction, ticks.now.value), [auction, ticks]);
  return (
    <article class="stack book-page" data-testid="book-page" data-phase={phase}>
      <PageHead title={`Bid book: ${auction.card.title}`} lead={leadOf(auction)} actions={<Badge tone={phase === 'open' ? 'live' : 'brand'}>{WORDS[phase]}</Badge>} />
      <div class="card book-now">
        <span class="order-image">
          <Picture url={auction.card.image_url} alt={auction.card.image_alt ?? ''} width={96} />
        </span>
        <div class="grow stacked">
          <b class="auction-price tabular">{money(auction.price_minor, auction.card.currency)}</b>
          <span class="muted small">{auction.leader ? `${auction.leader} ${phase === 'sold' ? 'won' : 'leads'}` : 'No bids yet'}</span>
        </div>
        {phase === 'open' && auction.ends_ms != null && <Countdown now={ticks.now} until={auction.ends_ms} label="Auction ends" />}
        {(phase === 'open' || phase === 'announced') && (
          <LinkButton href={`/shows/${show_id}`} kind="primary" icon="gavel">
            Bid in the show
          </LinkButton>
        )}
      </div>
      <section class="card" aria-label="Bids">
        <BidBook bids={bids} mine={null} currency={auction.card.currency} />
        {next && (
          <Button size="s" busy={more.busy} onClick={() => void loadMore()} testid="older-bids">
            Show earlier bids
          </Button>
        )}
        <ProblemNote problem={more.problem} />
      </section>
      <p class="muted small">
        Each bid stands here with its bidder’s pseudonym, as it was placed; a maximum is never shown. Who works for the shop can’t bid. A bid sent before
        the hammer counts if it arrives within {auction.latency_window_ms} ms after it.
      </p>
    </article>
  );
}

function leadOf(auction: AuctionView): string {
  const { currency } = auction.card;
  const rules = `From ${money(auction.start_minor, currency)}, ${money(auction.increment_minor, currency)} at a time`;
  return auction.ends_ms ? `${rules}. ${auction.state === 'open' ? 'Ends' : 'Ended'} ${dateTime(new Date(auction.ends_ms).toISOString())}.` : `${rules}.`;
}
