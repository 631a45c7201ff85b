/**
 * Flash prices, drops, waitlists and auctions as the page holds them and as they stand at a moment. Pure.
 *
 * The room's events say what is; between them the server's clock does: a flash price ends, a drop opens and a hammer
 * falls on the page by themselves, whether the news of it has come or not.
 */

import type {
  AnyEvent,
  AuctionView,
  BidsPlaced,
  BidView,
  DropView,
  FlashView,
  PlaceView,
  ProductCard,
  StandingView,
  VariantCard,
} from './protocol.ts';

/** The newest few of each, as overlay/room.py keeps them. */
export const SALES_KEPT = 20;
export const BIDS_SHOWN = 10;

export interface Sales {
  /** By variant id. */
  readonly flashes: Readonly<Record<string, FlashView>>;
  /** By variant id. */
  readonly drops: Readonly<Record<string, DropView>>;
  /** By auction id. */
  readonly auctions: Readonly<Record<string, AuctionView>>;
}

export const NO_SALES: Sales = { flashes: {}, drops: {}, auctions: {} };

/** The sales after an event of the show log; the same object where it is none of theirs. */
export function afterSale<State extends Sales>(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'flash_started':
      return { ...state, flashes: { ...state.flashes, [event.flash.variant_id]: event.flash } };
    case 'flash_ended': {
      const left = Object.entries(state.flashes).filter(([, flash]) => flash.flash_id !== event.flash_id);
      return { ...state, flashes: Object.fromEntries(left) };
    }
    case 'drop_changed':
      return { ...state, drops: kept(state.drops, event.drop.variant_id, event.drop) };
    case 'auction_changed':
      return { ...state, auctions: kept(state.auctions, event.auction.auction_id, event.auction) };
    case 'bids_placed': {
      const before = state.auctions[event.auction_id];
      return before ? { ...state, auctions: { ...state.auctions, [event.auction_id]: afterBids(before, event) } } : state;
    }
    default:
      return state;
  }
}

/** The newest last; past the bound the oldest goes. */
function kept<View>(views: Readonly<Record<string, View>>, key: string, view: View): Record<string, View> {
  const others = Object.entries(views).filter(([id]) => id !== key);
  return Object.fromEntries([...others.slice(-(SALES_KEPT - 1)), [key, view]]);
}

function afterBids(auction: AuctionView, event: BidsPlaced): AuctionView {
  return {
    ...auction,
    recent: mergedBids(auction.recent ?? [], event.bids).slice(-BIDS_SHOWN),
    price_minor: event.price_minor,
    next_minor: event.next_minor,
    bids: event.count,
    leader: event.leader,
    ends_ms: event.ends_ms,
    reserve_met: event.reserve_met ?? false,
  };
}

/** A bid told of again (taken back, say) replaces its line and moves to the end. */
export function mergedBids(before: readonly BidView[], news: readonly BidView[]): BidView[] {
  const again = new Set(news.map((bid) => bid.bid_n));
  return [...before.filter((bid) => !again.has(bid.bid_n)), ...news];
}

// --- as things stand at a moment ------------------------------------------------------------------------------

export const flashIsOn = (flash: FlashView | undefined, nowMs: number): boolean => !!flash && nowMs < flash.ends_ms;

/** A variant as it is sold at `nowMs`: a flash price that is over by the clock is no price any more. */
export function flashed(variant: VariantCard, flash: FlashView | undefined, nowMs: number): VariantCard {
  if (!flash) return variant;
  if (flashIsOn(flash, nowMs)) return flash.buyer_limit ? { ...variant, buyer_limit: flash.buyer_limit } : variant;
  if (variant.price_minor !== flash.price_minor) return variant;
  return { ...variant, price_minor: flash.was_minor, compare_at_minor: null };
}

export type DropPhase = 'before' | 'open' | 'sold_out' | 'cancelled';

/** `left`: what the room says can be reserved now. A drop that opened by the clock is not yet known to be sold out. */
export function dropPhase(drop: DropView, left: number | undefined, nowMs: number): DropPhase {
  if (drop.state === 'cancelled') return 'cancelled';
  if (drop.state === 'scheduled') return nowMs < drop.opens_ms ? 'before' : 'open';
  return drop.state === 'sold_out' || (left ?? drop.units) <= 0 ? 'sold_out' : 'open';
}

export type AuctionPhase = 'announced' | 'open' | 'hammer' | 'charging' | 'sold' | 'unsold' | 'cancelled';

/** `hammer`: no more bids are taken; the room waits for those that were under way. */
export function auctionPhase(auction: AuctionView, nowMs: number): AuctionPhase {
  if (auction.state === 'closing') return 'hammer';
  if (auction.state === 'open' && auction.ends_ms != null && nowMs >= auction.ends_ms) return 'hammer';
  return auction.state;
}

export const takesBids = (phase: AuctionPhase): boolean => phase === 'announced' || phase === 'open';
export const isOver = (phase: AuctionPhase): boolean => phase === 'sold' || phase === 'unsold' || phase === 'cancelled';

/** Times at which something changes by itself: what a page must wake for. */
export function deadlines(sales: Sales, places: readonly PlaceView[] = [], standings: readonly StandingView[] = []): number[] {
  const times = [
    ...Object.values(sales.flashes).map((flash) => flash.ends_ms),
    ...Object.values(sales.drops).map((drop) => (drop.state === 'scheduled' ? drop.opens_ms : null)),
    ...Object.values(sales.auctions).map((auction) => (auction.state === 'open' ? auction.ends_ms : null)),
    ...places.map((place) => (place.state === 'offered' ? place.offer_ends_ms : null)),
    ...standings.map((standing) => standing.misbid_until_ms),
  ];
  return times.filter((time): time is number => time != null);
}

// --- bidding --------------------------------------------------------------------------------------------------

/** The least a bidder may offer now: the next bid, or above the own maximum for who leads. */
export function leastBid(auction: AuctionView, standing: StandingView | undefined): number {
  return standing?.state === 'leading' ? Math.max(auction.next_minor, standing.max_minor + 1) : auction.next_minor;
}

/** Amounts worth offering with one tap, the least first. */
export function bidSteps(auction: AuctionView, standing: StandingView | undefined): number[] {
  const first = standing?.state === 'leading' ? standing.max_minor + auction.increment_minor : leastBid(auction, standing);
  return [0, 1, 2, 5].map((steps) => Math.max(first, auction.next_minor) + steps * auction.increment_minor);
}

/** What a person knows of their bid: the older of two answers never replaces the newer one's outcome. */
const LAST_WORDS = new Set(['won', 'payment_failed', 'lost']);

export function afterStanding(before: StandingView | undefined, news: StandingView): StandingView {
  return before && LAST_WORDS.has(before.state) && !LAST_WORDS.has(news.state) ? before : news;
}

// --- the places a page has room for ---------------------------------------------------------------------------

export type Feature =
  | { kind: 'auction'; key: string; auction: AuctionView }
  | { kind: 'drop'; key: string; drop: DropView }
  | { kind: 'pin'; key: string; card: ProductCard };

const SHOWN_AFTER_MS = 60_000;
const DROP_NEAR_MS = 300_000;

/** What is for sale over the picture now, the most pressing first; while a product is in a drop or an auction, its pin is that. */
export function features(
  sales: Sales & { pin: ProductCard | null; stock: Readonly<Record<string, number>> },
  standings: Readonly<Record<string, StandingView>>,
  nowMs: number,
): Feature[] {
  const found: (Feature & { weight: number; product: string })[] = [];
  for (const auction of Object.values(sales.auctions)) {
    const weight = auctionWeight(auction, standings[auction.auction_id], nowMs);
    if (weight) found.push({ kind: 'auction', key: auction.auction_id, auction, weight, product: auction.card.product_id });
  }
  for (const drop of Object.values(sales.drops)) {
    const weight = dropWeight(drop, sales.stock[drop.variant_id], nowMs, sales.pin);
    if (weight) found.push({ kind: 'drop', key: drop.drop_id, drop, weight, product: drop.card.product_id });
  }
  if (sales.pin) found.push({ kind: 'pin', key: sales.pin.product_id, card: sales.pin, weight: 50, product: sales.pin.product_id });
  found.sort((a, b) => b.weight - a.weight);
  const taken = new Set(found.filter((one) => one.kind === 'drop' || (one.kind === 'auction' && !isOver(auctionPhase(one.auction, nowMs)))).map(({ product }) => product));
  return found.filter(({ product, kind }) => kind !== 'pin' || !taken.has(product));
}

/** Whether it is running: nothing else takes its place by itself. */
export function isRunning(feature: Feature, left: number | undefined, nowMs: number): boolean {
  if (feature.kind === 'drop') return dropPhase(feature.drop, left, nowMs) === 'open';
  if (feature.kind !== 'auction') return false;
  const phase = auctionPhase(feature.auction, nowMs);
  return phase !== 'announced' && !isOver(phase);
}

function auctionWeight(auction: AuctionView, standing: StandingView | undefined, nowMs: number): number {
  const phase = auctionPhase(auction, nowMs);
  if (phase === 'cancelled') return 0;
  if (phase === 'announced') return 45;
  if (!isOver(phase)) return 90;
  const mine = standing && (standing.state === 'won' || standing.state === 'payment_failed');
  const fresh = nowMs - (auction.ends_ms ?? 0) < SHOWN_AFTER_MS;
  return fresh ? (mine ? 80 : 60) : 0;
}

function dropWeight(drop: DropView, left: number | undefined, nowMs: number, pin: ProductCard | null): number {
  const phase = dropPhase(drop, left, nowMs);
  if (phase === 'cancelled') return 0;
  if (phase === 'open') return 70;
  if (phase === 'before') return drop.opens_ms - nowMs < DROP_NEAR_MS ? 65 : 40;
  return pin && pin.product_id !== drop.card.product_id ? 30 : 55;
}
