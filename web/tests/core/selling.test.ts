import { describe, expect, it } from 'vitest';
import { live } from '../../core/offer.ts';
import type { AuctionView, DropView, FlashView, ProductCard, Snapshot, StandingView } from '../../core/protocol.ts';
import { EMPTY_ROOM, fromSnapshot } from '../../core/room-state.ts';
import { afterStanding, auctionPhase, bidSteps, deadlines, dropPhase, features, leastBid, NO_SALES } from '../../core/selling.ts';

const CARD: ProductCard = {
  product_id: 'p1',
  title: 'Lamp',
  currency: 'EUR',
  variants: [{ variant_id: 'v1', title: 'Red', price_minor: 1500, compare_at_minor: 1900, available: 4, buyer_limit: 5 }],
};
const FLASH: FlashView = { flash_id: 'f1', variant_id: 'v1', price_minor: 1500, was_minor: 1900, starts_ms: 0, ends_ms: 60_000, buyer_limit: 2 };
const DROP: DropView = { drop_id: 'd1', variant_id: 'v1', card: CARD, state: 'scheduled', opens_ms: 100_000, units: 20 };
const AUCTION: AuctionView = {
  auction_id: 'a1',
  variant_id: 'v1',
  card: CARD,
  state: 'open',
  start_minor: 1000,
  increment_minor: 100,
  duration_s: 60,
  extension_s: 10,
  latency_window_ms: 800,
  price_minor: 1000,
  next_minor: 1100,
  ends_ms: 60_000,
};
const STANDING: StandingView = { auction_id: 'a1', alias: 'Amber Fox', state: 'leading', max_minor: 1500 };

describe('a flash price', () => {
  const values = { stock: { v1: 4 }, prices: {}, flashes: { v1: FLASH } };

  it('has its own limit for a person', () => {
    expect(live(CARD, values, 59_999).variants[0]).toMatchObject({ price_minor: 1500, compare_at_minor: 1900, buyer_limit: 2 });
  });
  it('is over by the clock, whether or not the news of it came', () => {
    expect(live(CARD, values, 60_000).variants[0]).toMatchObject({ price_minor: 1900, compare_at_minor: null, buyer_limit: 5 });
  });
  it('gives way to a price that was set since', () => {
    const set = { ...values, prices: { v1: { price_minor: 1700, compare_at_minor: null } } };
    expect(live(CARD, set, 60_000).variants[0]!.price_minor).toBe(1700);
  });
  it('is not remembered when it ended while nobody was listening', () => {
    const snapshot: Snapshot = { offset: { epoch: 'e', number: 1 }, show_state: 'live', picture: 'live', pin: null, comments: [], stock: {}, muted: {} };
    const before = fromSnapshot({ ...snapshot, flashes: { v1: FLASH } });
    expect(before.prices['v1']).toEqual({ price_minor: 1500, compare_at_minor: 1900 });
    expect(fromSnapshot(snapshot, before).prices['v1']).toEqual({ price_minor: 1900, compare_at_minor: null });
  });
});

describe('a drop', () => {
  it('opens by the clock and is sold out by the stock', () => {
    expect(dropPhase(DROP, 0, 99_999)).toBe('before');
    expect(dropPhase(DROP, 0, 100_000)).toBe('open');
    expect(dropPhase({ ...DROP, state: 'open' }, 3, 100_000)).toBe('open');
    expect(dropPhase({ ...DROP, state: 'open' }, 0, 100_000)).toBe('sold_out');
    expect(dropPhase({ ...DROP, state: 'cancelled' }, 3, 0)).toBe('cancelled');
  });
});

describe('an auction', () => {
  it('takes no bids once the hammer fell by the clock', () => {
    expect(auctionPhase(AUCTION, 59_999)).toBe('open');
    expect(auctionPhase(AUCTION, 60_000)).toBe('hammer');
    expect(auctionPhase({ ...AUCTION, state: 'sold' }, 61_000)).toBe('sold');
  });
  it('asks a leader for more than their own maximum', () => {
    expect(leastBid(AUCTION, undefined)).toBe(1100);
    expect(leastBid(AUCTION, STANDING)).toBe(1501);
    expect(bidSteps(AUCTION, { ...STANDING, state: 'outbid' })).toEqual([1100, 1200, 1300, 1600]);
    expect(bidSteps(AUCTION, STANDING)).toEqual([1600, 1700, 1800, 2100]);
  });
  it('does not take a last word back', () => {
    const won: StandingView = { ...STANDING, state: 'won', order_id: 'o1' };
    expect(afterStanding(won, STANDING)).toBe(won);
    expect(afterStanding(won, { ...STANDING, state: 'payment_failed' }).state).toBe('payment_failed');
    expect(afterStanding(STANDING, { ...STANDING, state: 'outbid' }).state).toBe('outbid');
  });
});

describe('what is shown over the picture', () => {
  const room = { ...EMPTY_ROOM, pin: CARD, drops: { v1: { ...DROP, state: 'open' as const } } };
  const other = { ...AUCTION, card: { ...CARD, product_id: 'p2' } };
  const kinds = (auction: AuctionView | null, now: number, standings = {}) =>
    features({ ...room, auctions: auction ? { a1: auction } : {} }, standings, now).map(({ kind }) => kind);

  it('has one card for a product, the most pressing first', () => {
    expect(kinds(null, 0)).toEqual(['drop']);
    expect(kinds(other, 0)).toEqual(['auction', 'drop']);
    expect(features({ ...room, drops: {}, auctions: { a1: AUCTION } }, {}, 0).map(({ kind }) => kind)).toEqual(['auction']);
  });
  it('lets an auction go a minute after it ended', () => {
    const sold = { ...other, state: 'sold' as const };
    expect(kinds(sold, 100_000)).toContain('auction');
    expect(features({ ...room, drops: {}, auctions: { a1: { ...AUCTION, state: 'sold' } } }, {}, 100_000).map(({ kind }) => kind)).toEqual(['auction', 'pin']);
    expect(kinds(sold, 200_000)).not.toContain('auction');
  });
  it('knows the times to wake for', () => {
    const times = deadlines({ ...NO_SALES, flashes: { v1: FLASH }, drops: { v1: DROP }, auctions: { a1: AUCTION } }, [], [
      { ...STANDING, misbid_until_ms: 5 },
    ]);
    expect(times).toEqual([60_000, 100_000, 60_000, 5]);
  });
});
