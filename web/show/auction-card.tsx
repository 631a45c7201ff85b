import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { money } from '../core/format.ts';
import type { AuctionView, StandingView } from '../core/protocol.ts';
import { auctionPhase, leastBid, takesBids, type AuctionPhase } from '../core/selling.ts';
import { Button } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Icon } from '../ui/icons.tsx';
import { Picture } from '../ui/picture.tsx';
import { Badge } from '../ui/status.tsx';
import { useSteady } from '../ui/steady.ts';
import { useDerived } from '../ui/ticks.ts';
import type { ShowStore } from './store.ts';

/** An auction over the picture: the price, who leads, the clock, and the next bid in one tap. */
export function AuctionCard({ store, auction }: { store: ShowStore; auction: AuctionView }) {
  const { floor } = store;
  const phase = useDerived(() => auctionPhase(auction, floor.now.value), [auction]);
  const standing = floor.standing(auction.auction_id);
  const { card } = auction;
  const open = () => store.openAuction(auction.auction_id);
  return (
    <article class="pin feature auction" aria-live="off" data-testid="auction" data-phase={phase} data-standing={standing?.state ?? 'none'} data-auction={auction.auction_id}>
      <Head store={store} auction={auction} phase={phase} />
      <button type="button" class="pin-top" onClick={open} data-testid="auction-open">
        <span class="pin-image">
          <Picture url={card.image_url} alt={card.image_alt ?? ''} width={320} sizes="72px" eager />
        </span>
        <span class="pin-words">
          <span class="pin-title">{card.title}</span>
          <span class="auction-price tabular" data-testid="auction-price" data-minor={auction.price_minor}>
            {priceWords(auction, phase)}
          </span>
          <span class="pin-variant" data-testid="auction-leader">
            {leaderWords(auction, standing, phase)} <Icon name="chevron_right" size={14} />
          </span>
        </span>
      </button>
      <Standing store={store} auction={auction} phase={phase} standing={standing} />
      <Announced auction={auction} phase={phase} standing={standing} />
    </article>
  );
}

function priceWords(auction: AuctionView, phase: AuctionPhase): string {
  const { currency } = auction.card;
  if (phase === 'sold' || phase === 'charging') return `Hammer ${money(auction.price_minor, currency)}`;
  if (!auction.bids) return `From ${money(auction.start_minor, currency)}`;
  return money(auction.price_minor, currency);
}

function leaderWords(auction: AuctionView, standing: StandingView | undefined, phase: AuctionPhase): string {
  const none = takesBids(phase) ? 'No bids yet' : 'No bids';
  const count = auction.bids ? `${auction.bids} ${auction.bids === 1 ? 'bid' : 'bids'}` : none;
  if (!auction.leader) return count;
  return `${standing?.alias === auction.leader ? 'You' : auction.leader} · ${count}`;
}

/** What kind of auction, and its clock; the clock flashes when a late bid has moved the end. */
function Head({ store, auction, phase }: { store: ShowStore; auction: AuctionView; phase: AuctionPhase }) {
  const { floor } = store;
  const extended = useExtended(auction.ends_ms ?? null);
  return (
    <div class="feature-head">
      <Badge tone="brand" icon="gavel">
        Auction
      </Badge>
      {auction.extension_s === 0 && takesBids(phase) && (
        <Badge tone="warn" testid="sudden-death">
          Sudden death
        </Badge>
      )}
      <span class="grow" data-testid="auction-note">
        {headWords(auction, phase)}
      </span>
      {phase === 'open' && auction.ends_ms != null && (
        <span class={`auction-clock${extended ? ' extended' : ''}`} data-testid="auction-clock" data-extended={extended}>
          {extended && <small>+{auction.extension_s} s</small>}
          <Countdown now={floor.now} until={auction.ends_ms} label={`Auction of ${auction.card.title}`} testid="auction-left" />
        </span>
      )}
    </div>
  );
}

function headWords(auction: AuctionView, phase: AuctionPhase): string {
  switch (phase) {
    case 'announced':
      return 'Opens soon';
    case 'open':
      return auction.has_reserve ? (auction.reserve_met ? 'Reserve met' : 'Reserve not met') : '';
    case 'hammer':
      return 'Closing: last bids are counted';
    case 'charging':
      return 'The winner is paying';
    case 'sold':
      return 'Sold';
    case 'unsold':
      return auction.has_reserve && auction.bids ? 'Not sold: reserve not met' : 'Not sold';
    case 'cancelled':
      return 'Called off';
  }
}

const FLASHES_MS = 2_500;

/** True for a moment after the end has moved away. */
function useExtended(endsMs: number | null): boolean {
  const before = useRef(endsMs);
  const [extended, set] = useState(false);
  useEffect(() => {
    const moved = before.current !== null && endsMs !== null && endsMs > before.current;
    before.current = endsMs;
    if (!moved) return;
    set(true);
    const timer = setTimeout(() => set(false), FLASHES_MS);
    return () => clearTimeout(timer);
  }, [endsMs]);
  return extended;
}

interface StandingProps {
  store: ShowStore;
  auction: AuctionView;
  phase: AuctionPhase;
  standing: StandingView | undefined;
}

/** Where this person stands and what they can do about it. */
function Standing(props: StandingProps) {
  const { store, auction, phase, standing } = props;
  if (standing && ['won', 'payment_failed'].includes(standing.state)) return <Won {...props} standing={standing} />;
  if (!takesBids(phase)) return <p class="auction-word">{overWords(phase, standing, auction)}</p>;
  if (store.staff.value)
    return (
      <p class="auction-word" data-testid="staff-note">
        You work for this shop, so you can’t bid. That keeps its auctions honest.
      </p>
    );
  return <Bidding {...props} />;
}

function overWords(phase: AuctionPhase, standing: StandingView | undefined, auction: AuctionView): string {
  const winner = auction.leader ? (standing?.alias === auction.leader ? 'You' : auction.leader) : null;
  if (phase === 'hammer') return standing?.state === 'leading' ? 'You lead. The last bids are being counted.' : 'The last bids are being counted.';
  if (phase === 'charging') return `${winner ?? 'The winner'} is paying now.${standing?.state === 'outbid' ? ' If that fails, the next in line gets it.' : ''}`;
  if (phase === 'sold') return standing?.state === 'lost' ? `${winner ?? 'Somebody else'} won. Nothing was charged to you.` : `${winner ?? 'Somebody'} won.`;
  if (phase === 'unsold') return 'Nobody pays.';
  return 'Nobody pays. The shop has called it off.';
}

function Bidding({ store, auction, phase, standing }: StandingProps) {
  const { floor } = store;
  const least = leastBid(auction, standing);
  const price = money(least, auction.card.currency);
  const busy = floor.working.value.has(auction.auction_id);
  const steady = useSteady(least);
  const leading = standing?.state === 'leading';
  const tap = () => (steady() ? floor.bid(auction, least) : floor.say(auction.auction_id, 'price_moved'));
  return (
    <div class="buy-box">
      <Word store={store} auction={auction} standing={standing} />
      <div class="auction-do">
        {!leading && (
          <Button kind="buy" size="l" busy={busy} onClick={tap} testid="bid">
            {phase === 'announced' ? 'Pre-bid' : 'Bid'} {price}
          </Button>
        )}
        <Button kind={leading ? 'buy' : 'secondary'} size="l" onClick={() => store.openAuction(auction.auction_id)} aria-haspopup="dialog" testid="maximum">
          {leading ? 'Raise my maximum' : 'Maximum…'}
        </Button>
      </div>
    </div>
  );
}

/** Leading or outbid, what the last tap came to, and taking a misbid back: one line that is always there. */
function Word({ store, auction, standing }: Omit<StandingProps, 'phase' | 'standing'> & { standing: StandingView | undefined }) {
  const { floor } = store;
  const said = floor.said.value[auction.auction_id];
  const until = standing?.misbid_until_ms ?? 0;
  const undo = useDerived(() => until > floor.now.value, [until]);
  const { currency } = auction.card;
  const words: Partial<Record<StandingView['state'], ComponentChildren>> = {
    leading: (
      <>
        <b>{auction.state === 'announced' ? 'Your pre-bid is in.' : 'You’re leading.'}</b> Your maximum: {money(standing?.max_minor ?? 0, currency)}
      </>
    ),
    outbid: <b>You’ve been outbid.</b>,
  };
  return (
    <div class={`auction-word ${standing?.state ?? ''}`} data-testid="standing" data-said={said?.code ?? ''}>
      <span>{said?.text ?? (standing && words[standing.state]) ?? firstWords(auction)}</span>
      {undo && (
        <button type="button" class="undo" onClick={() => void floor.retract(auction.auction_id)} data-testid="retract">
          Take it back <Countdown now={floor.now} until={until} label="Take the bid back" />
        </button>
      )}
    </div>
  );
}

function firstWords(auction: AuctionView): string {
  if (auction.state === 'announced') return 'Bid ahead: your bid counts the moment it opens.';
  return auction.bids ? 'The shop bids for you, up to your maximum.' : 'Be the first to bid.';
}

const failureWords = (phase: AuctionPhase, standing: StandingView | undefined): string =>
  `${standing?.reason ?? ''} ${phase === 'unsold' ? 'It stays unsold' : 'It goes to the next bidder'}, and you were not charged.`.trim();

function Won({ store, auction, phase, standing }: StandingProps & { standing: StandingView }) {
  const price = money(auction.price_minor, auction.card.currency);
  const { order_id } = standing;
  if (standing.state === 'won')
    return (
      <div class="auction-word won" data-testid="standing">
        <span>
          <b>You won, for {price}.</b> {order_id ? 'It goes on your card, with delivery on top.' : 'Your order is being made.'}
        </span>
        {order_id && (
          <a href={`/orders/${order_id}`} target="_blank" rel="noopener">
            See the order
          </a>
        )}
      </div>
    );
  return (
    <div class="auction-word outbid" data-testid="standing">
      <span>
        <b>The payment failed.</b> {failureWords(phase, standing)} Use another card for your next bid.
      </span>
      <button type="button" class="undo" onClick={() => store.checkout.prepare(NEXT_TIME(store), { asked: 'card' })} data-testid="change-card">
        Cards
      </button>
    </div>
  );
}

const NEXT_TIME = (store: ShowStore) => ({ lead: 'The card for your next bid or purchase.', label: 'Done', run: () => store.open(null) });

/** For those who listen: what changed for them, not every bid. */
function Announced({ auction, phase, standing }: Omit<StandingProps, 'store'>) {
  const [words, say] = useState('');
  const first = useRef(true);
  useEffect(() => {
    if (first.current) return void (first.current = false);
    const price = money(auction.price_minor, auction.card.currency);
    const next = money(auction.next_minor, auction.card.currency);
    const mine: Partial<Record<StandingView['state'], string>> = {
      leading: auction.state === 'announced' ? 'Your pre-bid is in.' : `You are leading the auction of ${auction.card.title}.`,
      outbid: `You have been outbid. The next bid is ${next}.`,
      won: `You won ${auction.card.title} for ${price}.`,
      payment_failed: `The payment failed. ${failureWords(phase, standing)}`,
      lost: `The auction is over. ${auction.leader ?? 'Somebody else'} won.`,
    };
    say((standing && mine[standing.state]) ?? `Auction of ${auction.card.title}: ${headWords(auction, phase)}`);
  }, [standing?.state, phase]);
  return (
    <span class="visually-hidden" role="status" aria-live="polite" data-testid="auction-spoken">
      {words}
    </span>
  );
}
