/** Flash prices, drops, waitlists and auctions as one viewer lives them: what is theirs, what they do, how it went. */

import { batch, computed, signal } from '@preact/signals';
import { api } from '../core/api.ts';
import { money } from '../core/format.ts';
import { asProblem, Problem } from '../core/problem.ts';
import type { AnyEvent, AuctionView, PlaceView, ProductCard, StandingView } from '../core/protocol.ts';
import type { Line } from '../core/purchase.ts';
import type { RoomState } from '../core/room-state.ts';
import type { RoomConnection } from '../core/room.ts';
import { afterStanding, auctionPhase, deadlines, features, flashIsOn, isOver, isRunning, type Feature } from '../core/selling.ts';
import { currency, me } from '../ui/session.ts';
import { toast } from '../ui/status.tsx';
import { Ticks } from '../ui/ticks.ts';
import type { Waiting } from '../ui/waitlist.tsx';
import type { Checkout } from './checkout.ts';

/** What the floor needs of the page it is on. */
export interface FloorPlace {
  readonly room: { readonly value: RoomState };
  readonly connection: RoomConnection | null;
  readonly mediaTime: { rtp: number | null };
  readonly checkout: Checkout;
  open(sheet: null): void;
  signInFirst(then: () => void): void;
}

/** What the last try came to, shown on its card until the next one. */
export interface Said {
  code: string;
  text: string;
}

const LINGER_MS = 61_000;
const ASK_WITHIN_MS = 1_500;
const ASK_AFTER_MS = 2_500;
const NEAR_THE_FRONT = 3;
const LAST: ReadonlySet<string> = new Set(['won', 'payment_failed', 'lost']);

export class Floor implements Waiting {
  /** The person's own, by variant id and by auction id. */
  readonly places = signal<Readonly<Record<string, PlaceView>>>({});
  readonly standings = signal<Readonly<Record<string, StandingView>>>({});
  /** Names of what is waited for, where the page does not show it. */
  readonly titles = signal<Readonly<Record<string, string>>>({});
  readonly said = signal<Readonly<Record<string, Said>>>({});
  readonly working = signal<ReadonlySet<string>>(new Set());
  /** The card the viewer turned to, until it goes. */
  readonly chosen = signal<string | null>(null);
  readonly auctionId = signal<string | null>(null);
  readonly ticks: Ticks;

  // Slices: what reads them is left alone by comments.
  readonly #flashes = computed(() => this.store.room.value.flashes);
  readonly #drops = computed(() => this.store.room.value.drops);
  readonly #auctions = computed(() => this.store.room.value.auctions);
  readonly #pin = computed(() => this.store.room.value.pin);
  readonly #stock = computed(() => this.store.room.value.stock);
  readonly sales = computed(() => ({
    flashes: this.#flashes.value,
    drops: this.#drops.value,
    auctions: this.#auctions.value,
    pin: this.#pin.value,
    stock: this.#stock.value,
  }));
  readonly #keys = computed(() => this.#features(this.ticks.now.value).map(({ kind, key }) => `${kind} ${key}`).join('|'));
  readonly features = computed<Feature[]>(() => {
    this.#keys.value;
    return this.#features(this.#now.peek());
  });
  /** The one card that is shown whole. */
  readonly feature = computed<Feature | undefined>(() => {
    const all = this.features.value;
    return all.find(({ key }) => key === this.chosen.value) ?? all[0];
  });
  /** Changes when a flash price ends by the clock: what shows prices reads it. */
  readonly flashesOver = computed(() =>
    Object.values(this.#flashes.value)
      .filter((flash) => !flashIsOn(flash, this.ticks.now.value))
      .map((flash) => flash.flash_id)
      .join(),
  );
  readonly offers = computed(() => Object.values(this.places.value).filter((place) => place.state === 'offered'));

  readonly #now: { readonly value: number; peek(): number };
  #asked = false;
  #asking: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly store: FloorPlace) {
    const serverNow = () => this.store.connection?.clock.serverNow() ?? Date.now();
    const due = () => deadlines(this.store.room.value, Object.values(this.places.value), Object.values(this.standings.value));
    this.ticks = new Ticks(serverNow, due, LINGER_MS);
    this.#now = this.ticks.now as { readonly value: number; peek(): number };
  }

  get now(): { readonly value: number } {
    return this.ticks.now;
  }

  #features(nowMs: number): Feature[] {
    return features(this.sales.value, this.standings.value, nowMs);
  }

  /** Where this person stands; nowhere once all their bids are taken back. */
  standing(auctionId: string): StandingView | undefined {
    const standing = this.standings.value[auctionId];
    return standing && (standing.max_minor > 0 || LAST.has(standing.state)) ? standing : undefined;
  }

  auction(auctionId: string | null): AuctionView | undefined {
    return auctionId ? this.sales.value.auctions[auctionId] : undefined;
  }

  // --- news for this person -----------------------------------------------------------------------------------

  hearPlace(place: PlaceView): void {
    const before = this.places.value[place.variant_id];
    batch(() => {
      if (place.state === 'left') {
        const { [place.variant_id]: _, ...others } = this.places.value;
        this.places.value = others;
      } else this.places.value = { ...this.places.value, [place.variant_id]: place };
    });
    this.ticks.poke();
    if (before?.state === 'offered' && place.state === 'expired') toast('Your turn on the waitlist is over.', 'warn');
  }

  hearStanding(standing: StandingView): void {
    const before = this.standings.value[standing.auction_id];
    const after = afterStanding(before, standing);
    if (after === before) return;
    batch(() => {
      this.standings.value = { ...this.standings.value, [standing.auction_id]: after };
      if (before?.state !== after.state) this.#say(standing.auction_id, null);
    });
    this.ticks.poke();
    if (after.state === 'won' && after.order_id) void this.store.checkout.adopt(after.order_id, { old: !before });
    if (before && after.state === 'payment_failed') toast('The payment for your auction failed. You were not charged.', 'warn');
  }

  /**
   * What news may have been lost in an outage: asked a moment after each welcome. When all come back at once, only who
   * has something at stake asks again.
   */
  ask(random: () => number = Math.random): void {
    const { auctions } = this.sales.peek();
    const waits = Object.values(this.places.peek()).some(({ state }) => state === 'waiting' || state === 'offered');
    const bids = Object.keys(this.standings.peek()).some((id) => auctions[id] && !isOver(auctionPhase(auctions[id], 0)));
    if (!me.value || (this.#asked && !waits && !bids)) return;
    this.#asked = true;
    setTimeout(() => void this.#ask(), ASK_WITHIN_MS * random());
  }

  /** What was just pinned comes to the front, unless something is running there. */
  pinned(productId: string): void {
    const shown = this.feature.peek();
    const left = shown?.kind === 'drop' ? this.sales.peek().stock[shown.drop.variant_id] : undefined;
    if (!shown || !isRunning(shown, left, this.#now.peek())) this.chosen.value = productId;
  }

  /** Events after which news for this person are due: asked for, in case they were lost on the way. */
  hear(events: readonly AnyEvent[]): void {
    const mine = events.some((event) => {
      if (event.type === 'auction_changed') return !!this.standings.value[event.auction.auction_id];
      const variant = event.type === 'drop_changed' ? event.drop.variant_id : event.type === 'stock_changed' ? event.variant_id : null;
      const place = variant === null ? undefined : this.places.value[variant];
      // Those at the front alone: a long line must not ask with every unit.
      return place?.state === 'waiting' && (place.position ?? Infinity) <= NEAR_THE_FRONT;
    });
    if (!mine || this.#asking) return;
    this.#asking = setTimeout(() => {
      this.#asking = null;
      void this.#ask();
    }, ASK_AFTER_MS * (1 + Math.random()));
  }

  async #ask(): Promise<void> {
    const [places, auctions] = await Promise.allSettled([api.waitlist(), api.myAuctions()]);
    if (places.status === 'fulfilled') {
      const rows = places.value.places;
      const named = rows.flatMap((row) => (row.product ? [[row.variant_id, row.product.title]] : []));
      this.titles.value = { ...this.titles.value, ...Object.fromEntries(named) };
      for (const row of [...rows].reverse()) this.hearPlace(row);
    }
    const known = this.store.room.value.auctions;
    if (auctions.status === 'fulfilled')
      for (const { standing } of auctions.value.auctions) if (known[standing.auction_id]) this.hearStanding(standing);
  }

  /** Who signs in or out brings and leaves nothing of the other. */
  forget(): void {
    this.#asked = false;
    batch(() => {
      this.places.value = {};
      this.standings.value = {};
      this.said.value = {};
    });
  }

  // --- the waitlist -------------------------------------------------------------------------------------------

  async join(variantId: string, quantity: number): Promise<void> {
    if (!me.value) return this.store.signInFirst(() => void this.join(variantId, quantity));
    await this.#work(variantId, async () => {
      const ack = await this.#room.send({ type: 'join_waitlist', variant_id: variantId, quantity });
      if (ack.place) this.hearPlace(ack.place);
    });
  }

  async leave(variantId: string): Promise<void> {
    await this.#work(variantId, async () => {
      await this.#room.send({ type: 'leave_waitlist', variant_id: variantId });
      const place = this.places.value[variantId];
      if (place) this.hearPlace({ ...place, state: 'left' });
    });
  }

  take(line: Line): void {
    this.store.checkout.buy([line]);
  }

  // --- bidding ------------------------------------------------------------------------------------------------

  /** Offers up to `maxMinor`; asks for card and address first where they are missing. */
  bid(auction: AuctionView, maxMinor: number): void {
    this.store.checkout.prepare(this.#bidding(auction, maxMinor));
  }

  #bidding(auction: AuctionView, maxMinor: number) {
    return {
      lead: 'A bid needs an address and a card. The card is checked now and charged only if you win.',
      label: `Bid ${money(maxMinor, currency.value)}`,
      run: () => {
        this.store.open(null);
        void this.#bid(auction, maxMinor);
      },
    };
  }

  async #bid(auction: AuctionView, maxMinor: number): Promise<void> {
    const { auction_id } = auction;
    await this.#work(auction_id, async () => {
      try {
        const wish = { type: 'bid' as const, auction_id, max_minor: maxMinor, media_time: this.store.mediaTime.rtp };
        const ack = await this.#room.send(wish);
        if (ack.standing) this.hearStanding(ack.standing);
      } catch (error) {
        const problem = asProblem(error);
        const asked = ({ card_needed: 'card', address_needed: 'address' } as const)[problem.code];
        if (!asked) throw problem;
        this.store.checkout.prepare(this.#bidding(auction, maxMinor), { asked });
      }
    });
  }

  async retract(auctionId: string): Promise<void> {
    await this.#work(auctionId, async () => {
      const ack = await this.#room.send({ type: 'retract_bid', auction_id: auctionId });
      if (ack.standing) this.hearStanding(ack.standing);
      toast('Your bid is taken back.', 'ok');
    });
  }

  say(key: string, code: string): void {
    this.#say(key, new Problem({ code, detail: '' }));
  }

  // --- trying -------------------------------------------------------------------------------------------------

  get #room(): RoomConnection {
    const { connection } = this.store;
    if (!connection) throw new Problem({ code: 'no_answer', detail: 'The room is not open yet.' });
    return connection;
  }

  async #work(key: string, work: () => Promise<void>): Promise<void> {
    if (this.working.value.has(key)) return;
    this.working.value = new Set([...this.working.value, key]);
    this.#say(key, null);
    try {
      await work();
    } catch (error) {
      this.#say(key, asProblem(error));
    } finally {
      const left = new Set(this.working.value);
      left.delete(key);
      this.working.value = left;
    }
  }

  #say(key: string, problem: Problem | null): void {
    const { [key]: _, ...others } = this.said.value;
    this.said.value = problem ? { ...others, [key]: { code: problem.code, text: sayingOf(problem) } } : others;
  }
}

/** What an answer means for whoever tapped, and what to do next. */
export function sayingOf(problem: Problem): string {
  const known: Record<string, string> = {
    bid_too_low: 'Somebody was faster. Bid more to take the lead.',
    auction_closed: 'The hammer has fallen: no more bids are taken.',
    staff_may_not_bid: 'People who work for this shop can’t bid in its auctions.',
    misbid_over: 'Too late to take it back: the bid stands.',
    not_waiting: 'You are not on this list any more.',
    not_sold_out: 'There are some again: no need to wait.',
    already_waiting: 'You are on the list.',
    price_moved: 'The price moved as you tapped. Nothing was sent: tap again if you agree.',
    no_answer: 'No answer yet. Trying again never bids twice.',
    rate_limited: 'That was a lot at once.',
  };
  const words = known[problem.code] ?? problem.message;
  return problem.retryAfterS ? `${words} Try again in ${Math.ceil(problem.retryAfterS)} s.` : words;
}

/** The variant's product among what the page knows. */
export function cardWith(cards: readonly ProductCard[], variantId: string): ProductCard | undefined {
  return cards.find((card) => card.variants.some((variant) => variant.variant_id === variantId));
}
