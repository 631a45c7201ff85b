/**
 * A room's state and the one function that applies an event to it: the page's side of overlay/room.py.
 *
 * Pure. Live join, late join and replay start from a snapshot and apply the same events. Beyond the server's state
 * the page keeps a longer feed (comments and purchases in one order) and the prices and stock of products that are
 * not pinned, so that every card on the page is true.
 */

import type { AnyEvent, CommentView, FlashView, Offset, PictureState, ProductCard, ShowState, Snapshot } from './protocol.ts';
import { afterSale, NO_SALES, type Sales } from './selling.ts';

export const FEED_KEPT = 1000;

export type FeedRow =
  | ({ kind: 'comment' } & CommentView)
  | { kind: 'purchase'; key: string; at_ms: number; product_title: string; quantity: number; first_name: string | null };

export interface VariantPrice {
  price_minor: number;
  compare_at_minor: number | null;
}

export interface RoomState extends Sales {
  readonly offset: Offset | null;
  readonly show_state: ShowState;
  readonly picture: PictureState;
  readonly pin: ProductCard | null;
  readonly feed: readonly FeedRow[];
  readonly stock: Readonly<Record<string, number>>;
  /** Variants whose price changed since the page was loaded, and those of the pinned card. */
  readonly prices: Readonly<Record<string, VariantPrice>>;
  readonly muted: Readonly<Record<string, number | null>>;
}

export const EMPTY_ROOM: RoomState = {
  offset: null,
  show_state: 'scheduled',
  picture: 'idle',
  pin: null,
  feed: [],
  stock: {},
  prices: {},
  muted: {},
  ...NO_SALES,
};

export const rowKey = (row: FeedRow): string => (row.kind === 'comment' ? row.comment_id : row.key);

/** The state a snapshot describes; prices learnt before stay known. */
export function fromSnapshot(snapshot: Snapshot, before: RoomState = EMPTY_ROOM): RoomState {
  return {
    offset: snapshot.offset,
    show_state: snapshot.show_state,
    picture: snapshot.picture,
    pin: snapshot.pin,
    feed: snapshot.comments.map((comment) => ({ kind: 'comment', ...comment })),
    stock: snapshot.stock,
    prices: { ...withoutFlashes(before, snapshot), ...flashPrices(snapshot.flashes ?? {}), ...pricesOf(snapshot.pin) },
    muted: snapshot.muted,
    flashes: snapshot.flashes ?? {},
    drops: snapshot.drops ?? {},
    auctions: snapshot.auctions ?? {},
  };
}

/** Prices learnt before, but for those of flash prices that ended while nobody here was listening. */
function withoutFlashes(before: RoomState, snapshot: Snapshot): Record<string, VariantPrice> {
  const prices = { ...before.prices };
  for (const flash of Object.values(before.flashes)) {
    const over = snapshot.flashes?.[flash.variant_id]?.flash_id !== flash.flash_id;
    if (over && prices[flash.variant_id]?.price_minor === flash.price_minor)
      prices[flash.variant_id] = { price_minor: flash.was_minor, compare_at_minor: null };
  }
  return prices;
}

const flashPrices = (flashes: Readonly<Record<string, FlashView>>): Record<string, VariantPrice> =>
  Object.fromEntries(
    Object.entries(flashes).map(([id, { price_minor, was_minor }]) => [id, { price_minor, compare_at_minor: was_minor }]),
  );

export class Gap extends Error {
  override name = 'Gap';
}

/**
 * The state after these events of one epoch, in order. Events already applied are passed over; a missing number
 * throws Gap: reconnect with the last offset.
 */
export function applyAll(state: RoomState, epoch: string, events: readonly AnyEvent[]): RoomState {
  if (!state.offset || state.offset.epoch !== epoch) throw new Gap(`epoch ${epoch}`);
  const fresh = events.filter((event) => event.n > state.offset!.number);
  if (fresh.length === 0) return state;
  const feed = new Feed(state.feed);
  let next = state;
  let number = state.offset.number;
  for (const event of fresh) {
    if (event.n !== number + 1) throw new Gap(`event ${event.n} after ${number}`);
    number = event.n;
    next = applied(next, event, feed);
  }
  return { ...next, feed: feed.rows, offset: { epoch, number } };
}

function applied(state: RoomState, event: AnyEvent, feed: Feed): RoomState {
  switch (event.type) {
    case 'commented':
      feed.add({
        kind: 'comment',
        comment_id: event.comment_id,
        user_id: event.user_id,
        name: event.name,
        text: event.text,
        at_ms: event.at_ms,
        reply_to: event.reply_to ?? null,
        badge: event.badge ?? null,
      });
      return state;
    case 'comment_deleted':
      feed.remove(event.comment_id);
      return state;
    case 'purchased':
      feed.add({
        kind: 'purchase',
        key: `purchase-${event.n}`,
        at_ms: event.at_ms,
        product_title: event.product_title,
        quantity: event.quantity ?? 1,
        first_name: event.first_name ?? null,
      });
      return state;
    case 'muted':
      return { ...state, muted: { ...state.muted, [event.user_id]: event.until_ms ?? null } };
    case 'unmuted': {
      const { [event.user_id]: _, ...muted } = state.muted;
      return { ...state, muted };
    }
    case 'pinned':
      return {
        ...state,
        pin: event.card,
        stock: { ...state.stock, ...Object.fromEntries(event.card.variants.map((v) => [v.variant_id, v.available])) },
        prices: { ...state.prices, ...pricesOf(event.card) },
      };
    case 'unpinned':
      return { ...state, pin: null };
    case 'stock_changed':
      return {
        ...state,
        stock: { ...state.stock, [event.variant_id]: event.available },
        pin: withVariant(state.pin, event.variant_id, { available: event.available }),
      };
    case 'price_changed':
      return priced(state, event.variant_id, event.price_minor, event.compare_at_minor ?? null);
    case 'flash_started': {
      const { variant_id, price_minor, was_minor } = event.flash;
      return priced(afterSale(state, event), variant_id, price_minor, was_minor);
    }
    case 'flash_ended':
      return priced(afterSale(state, event), event.variant_id, event.price_minor, null);
    case 'drop_changed':
    case 'auction_changed':
    case 'bids_placed':
      return afterSale(state, event);
    case 'show_started':
      return { ...state, show_state: 'live' };
    case 'show_ended':
      return { ...state, show_state: 'ended' };
    case 'picture_changed':
      return { ...state, picture: event.state };
    default:
      // A newer server may know more kinds: their number counts, their content waits for a newer page.
      return state;
  }
}

function priced(state: RoomState, variantId: string, price_minor: number, compare_at_minor: number | null): RoomState {
  const price = { price_minor, compare_at_minor };
  return { ...state, prices: { ...state.prices, [variantId]: price }, pin: withVariant(state.pin, variantId, price) };
}

function pricesOf(card: ProductCard | null): Record<string, VariantPrice> {
  const entries = (card?.variants ?? []).map((variant): [string, VariantPrice] => [
    variant.variant_id,
    { price_minor: variant.price_minor, compare_at_minor: variant.compare_at_minor ?? null },
  ]);
  return Object.fromEntries(entries);
}

function withVariant<Change extends object>(card: ProductCard | null, variantId: string, change: Change): ProductCard | null {
  if (!card?.variants.some((variant) => variant.variant_id === variantId)) return card;
  return {
    ...card,
    variants: card.variants.map((variant) => (variant.variant_id === variantId ? { ...variant, ...change } : variant)),
  };
}

/** The feed while a batch is applied: copied once a batch, however many events it holds. */
class Feed {
  #rows: readonly FeedRow[];
  #own: FeedRow[] | null = null;

  constructor(rows: readonly FeedRow[]) {
    this.#rows = rows;
  }

  get rows(): readonly FeedRow[] {
    if (!this.#own) return this.#rows;
    return this.#own.length > FEED_KEPT ? this.#own.slice(-FEED_KEPT) : this.#own;
  }

  add(row: FeedRow): void {
    // After a wiped log a comment may come again that the snapshot already holds.
    this.#own ??= [...this.#rows];
    const key = rowKey(row);
    if (this.#own.slice(-200).some((known) => rowKey(known) === key)) return;
    this.#own.push(row);
    if (this.#own.length > 2 * FEED_KEPT) this.#own = this.#own.slice(-FEED_KEPT);
  }

  remove(commentId: string): void {
    this.#own ??= [...this.#rows];
    const at = this.#own.findIndex((row) => row.kind === 'comment' && row.comment_id === commentId);
    if (at >= 0) this.#own.splice(at, 1);
  }
}

/** Whether this person may not write now: null when they may, else until when (Infinity: for good). */
export function mutedUntil(state: Pick<RoomState, 'muted'>, userId: string | null | undefined, nowMs: number): number | null {
  if (!userId || !(userId in state.muted)) return null;
  const until = state.muted[userId];
  if (until == null) return Number.POSITIVE_INFINITY;
  return until > nowMs ? until : null;
}
