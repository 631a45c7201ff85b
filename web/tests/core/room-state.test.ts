import { describe, expect, it } from 'vitest';
import type { AnyEvent, Commented, ProductCard, Snapshot } from '../../core/protocol.ts';
import { applyAll, FEED_KEPT, fromSnapshot, Gap, mutedUntil, rowKey, type RoomState } from '../../core/room-state.ts';

const CARD: ProductCard = {
  product_id: 'p1',
  title: 'Lamp',
  currency: 'EUR',
  variants: [
    { variant_id: 'v1', title: 'Red', price_minor: 1900, available: 4 },
    { variant_id: 'v2', title: 'Blue', price_minor: 2100, available: 0 },
  ],
};

const SNAPSHOT: Snapshot = {
  offset: { epoch: 'e', number: 10 },
  show_state: 'live',
  picture: 'live',
  pin: null,
  comments: [{ comment_id: 'c0', user_id: 'u', name: 'Ana', text: 'hi', at_ms: 1 }],
  stock: { v1: 4 },
  muted: {},
};

const start = () => fromSnapshot(SNAPSHOT);
const comment = (n: number, id = `c${n}`): Commented => ({
  type: 'commented',
  n,
  at_ms: n,
  comment_id: id,
  user_id: 'u',
  name: 'Ana',
  text: `t${n}`,
});
const after = (events: AnyEvent[], state: RoomState = start()) => applyAll(state, 'e', events);

describe('the room’s state', () => {
  it('takes comments in order and forgets deleted ones', () => {
    const state = after([comment(11), comment(12), { type: 'comment_deleted', n: 13, at_ms: 0, comment_id: 'c11' }]);
    expect(state.feed.map(rowKey)).toEqual(['c0', 'c12']);
    expect(state.offset).toEqual({ epoch: 'e', number: 13 });
  });

  it('changes price and stock on the pin and for every other card', () => {
    const state = after([
      { type: 'pinned', n: 11, at_ms: 0, card: CARD },
      { type: 'stock_changed', n: 12, at_ms: 0, variant_id: 'v1', available: 1 },
      { type: 'price_changed', n: 13, at_ms: 0, variant_id: 'v1', price_minor: 1500, compare_at_minor: 1900 },
      { type: 'stock_changed', n: 14, at_ms: 0, variant_id: 'elsewhere', available: 7 },
    ]);
    expect(state.pin?.variants[0]).toMatchObject({ available: 1, price_minor: 1500, compare_at_minor: 1900 });
    expect(state.stock).toMatchObject({ v1: 1, v2: 0, elsewhere: 7 });
    expect(state.prices['v1']).toEqual({ price_minor: 1500, compare_at_minor: 1900 });
    expect(after([{ type: 'unpinned', n: 15, at_ms: 0 }], state).pin).toBeNull();
  });

  it('follows the show and the picture', () => {
    const state = after([
      { type: 'picture_changed', n: 11, at_ms: 0, state: 'away' },
      { type: 'show_ended', n: 12, at_ms: 0 },
    ]);
    expect([state.picture, state.show_state]).toEqual(['away', 'ended']);
  });

  it('passes over what it has and refuses a hole', () => {
    const state = after([comment(11)]);
    expect(after([comment(10), comment(11)], state)).toBe(state);
    expect(after([comment(11), comment(12)], state).feed.map(rowKey)).toEqual(['c0', 'c11', 'c12']);
    expect(() => after([comment(13)], state)).toThrow(Gap);
    expect(() => applyAll(state, 'another', [comment(12)])).toThrow(Gap);
  });

  it('does not show a comment twice when a wiped log brings it again', () => {
    expect(after([comment(11, 'c0')]).feed).toHaveLength(1);
  });

  it('keeps a bounded feed', () => {
    const many = Array.from({ length: 3 * FEED_KEPT }, (_, index) => comment(11 + index));
    const { feed } = after(many);
    expect(feed).toHaveLength(FEED_KEPT);
    expect(rowKey(feed.at(-1)!)).toBe(`c${10 + 3 * FEED_KEPT}`);
  });

  it('passes over kinds of event it does not know', () => {
    const unknown = { type: 'flying_saucer', n: 11, at_ms: 0 } as unknown as AnyEvent;
    expect(after([unknown]).offset?.number).toBe(11);
  });

  it('knows who may not write, until when', () => {
    const state = after([
      { type: 'muted', n: 11, at_ms: 0, user_id: 'a', until_ms: 500 },
      { type: 'muted', n: 12, at_ms: 0, user_id: 'b' },
    ]);
    expect(mutedUntil(state, 'a', 499)).toBe(500);
    expect(mutedUntil(state, 'a', 500)).toBeNull();
    expect(mutedUntil(state, 'b', 1e15)).toBe(Number.POSITIVE_INFINITY);
    expect(mutedUntil(state, 'c', 0)).toBeNull();
    expect(mutedUntil(after([{ type: 'unmuted', n: 13, at_ms: 0, user_id: 'b' }], state), 'b', 0)).toBeNull();
  });
});
