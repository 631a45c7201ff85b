/** The viewer page's state: one object, made once, handed to the parts. */

import { batch, computed, effect, signal } from '@preact/signals';
import { api } from '../core/api.ts';
import { cardOf, live } from '../core/offer.ts';
import { asProblem, Problem } from '../core/problem.ts';
import { CloseCode, type AnyEvent, type ProductCard, type Reaction, type You } from '../core/protocol.ts';
import { ReactionFold } from '../core/reactions.ts';
import { EMPTY_ROOM, type RoomState } from '../core/room-state.ts';
import { RoomConnection, type RoomStatus } from '../core/room.ts';
import type { Show } from '../core/types.ts';
import type { Prepared } from '../core/whep.ts';
import { config, currency, loadSession, me } from '../ui/session.ts';
import { toast } from '../ui/status.tsx';
import { Bag } from './bag.ts';
import { Checkout } from './checkout.ts';
import { cardWith, Floor } from './floor.ts';

export type SheetName = 'sign-in' | 'checkout' | 'product' | 'bag' | 'orders' | 'products' | 'auction' | null;

export class ShowStore {
  readonly show = signal<Show | null>(null);
  readonly problem = signal<Problem | null>(null);
  readonly room = signal<RoomState>(EMPTY_ROOM);
  readonly status = signal<RoomStatus>('connecting');
  readonly you = signal<You | null>(null);
  readonly viewers = signal(0);
  readonly sheet = signal<SheetName>(null);
  /** The product whose sheet is open. */
  readonly looking = signal<string | null>(null);
  readonly replyTo = signal<{ comment_id: string; name: string } | null>(null);
  /** Reactions to let float: own ones at once, the room's with each pulse. */
  readonly bursts = signal<{ kind: Reaction; count: number; key: number } | null>(null);
  readonly variantOf = signal<Record<string, string>>({});
  /** How the picture lies; none before its first frame. */
  readonly shape = signal<'none' | 'tall' | 'broad'>('none');
  readonly mediaTime = { rtp: null as number | null };
  connection: RoomConnection | null = null;
  /** A peer made while the page loads; whoever takes it owns it. */
  prepared: Prepared | null = null;
  readonly bag: Bag;
  readonly checkout: Checkout;
  readonly floor: Floor;

  readonly state = computed(() => {
    // The room is live truth; before its first snapshot the page's own data has to do.
    return this.room.value.offset ? this.room.value.show_state : (this.show.value?.state ?? 'scheduled');
  });

  /** Told by the shop: the room only says that it is over. */
  readonly cancelled = computed(() => this.state.value === 'ended' && !!this.show.value?.cancelled_at);

  // Slices: what reads them is left alone by comments.
  readonly #pinned = computed(() => this.room.value.pin);
  readonly #stock = computed(() => this.room.value.stock);
  readonly #prices = computed(() => this.room.value.prices);
  readonly #flashes = computed(() => this.room.value.flashes);
  readonly #values = computed(() => {
    // Read for its changes: when a flash price ends by the clock, every price on the page follows.
    this.floor.flashesOver.value;
    return { stock: this.#stock.value, prices: this.#prices.value, flashes: this.#flashes.value, nowMs: this.#serverNow() };
  });

  readonly pin = computed<ProductCard | null>(() => this.#pinned.value && this.live(this.#pinned.value));
  readonly muted = computed(() => this.room.value.muted);
  readonly picture = computed(() => this.room.value.picture);

  /** The run-of-show as it can be bought now. */
  readonly products = computed<{ card: ProductCard; state: 'upcoming' | 'pinned' | 'shown' }[]>(() => {
    const pinned = this.#pinned.value?.product_id;
    return (this.show.value?.items ?? []).map(({ product, state }) => ({
      card: this.live(cardOf(product, currency.value)),
      state: product.id === pinned ? 'pinned' : state === 'pinned' ? 'shown' : state,
    }));
  });

  /** Who works for the shop can't bid in its auctions. */
  readonly staff = computed(() => (this.you.value?.roles.length ?? 0) > 0);
  readonly canModerate = computed(() => this.you.value?.may.includes('delete_comment') ?? false);

  #wanted: (() => void) | null = null;
  #burstKey = 0;
  #ownReactions = new Map<Reaction, number>();
  readonly #reactions: ReactionFold;

  constructor(
    readonly showId: string,
    readonly pass: string | null,
  ) {
    this.bag = new Bag(showId);
    this.checkout = new Checkout(this);
    this.floor = new Floor(this);
    this.#reactions = new ReactionFold((kind, count) => this.connection?.sendLightly({ type: 'react', kind, count }));
  }

  /** Loads what the page is made of, then enters the room. */
  async load(): Promise<void> {
    this.problem.value = null;
    try {
      const [show] = await Promise.all([api.show(this.showId, this.pass), loadSession()]);
      batch(() => {
        this.show.value = show;
        this.viewers.value = show.viewers;
      });
      document.title = `${show.title} · ${config.value!.shop.name}`;
      this.#enter();
      void this.checkout.loadWallet();
      void this.checkout.resume();
    } catch (error) {
      this.problem.value = asProblem(error);
    }
  }

  async reload(): Promise<void> {
    this.show.value = await api.show(this.showId, this.pass);
  }

  /** The peer made ahead, once; none where this installation needs ICE servers it did not know of. */
  takePrepared(): Prepared | null {
    const prepared = this.prepared;
    this.prepared = null;
    if (!config.value?.ice_servers.length) return prepared;
    prepared?.peer.close();
    return null;
  }

  card(productId: string | null): ProductCard | null {
    if (this.pin.value?.product_id === productId) return this.pin.value;
    return this.products.value.find(({ card }) => card.product_id === productId)?.card ?? null;
  }

  /** A card with the room's latest prices and stock. */
  live(card: ProductCard): ProductCard {
    const { nowMs, ...values } = this.#values.value;
    return live(card, values, nowMs);
  }

  #serverNow(): number {
    return this.connection?.clock.serverNow() ?? Date.now();
  }

  #cardWith(variantId: string): ProductCard | undefined {
    const { pin, drops } = this.room.value;
    const cards = [pin, ...Object.values(drops).map(({ card }) => card), ...this.products.value.map(({ card }) => card)];
    return cardWith(cards.filter((card) => card !== null), variantId);
  }

  titleOf(variantId: string): string {
    return this.#cardWith(variantId)?.title ?? this.floor.titles.value[variantId] ?? 'What you waited for';
  }

  currencyOf(variantId: string): string {
    return this.#cardWith(variantId)?.currency ?? currency.value;
  }

  openAuction(auctionId: string): void {
    this.floor.auctionId.value = auctionId;
    this.sheet.value = 'auction';
  }

  open(sheet: SheetName): void {
    if (!me.value) this.#wanted = null;
    this.sheet.value = sheet;
  }

  /** For what a guest tapped: it is done once the room knows who they are, unless they turn away. */
  signInFirst(then: () => void): void {
    this.open('sign-in');
    this.#wanted = then;
  }

  openProduct(productId: string): void {
    this.looking.value = productId;
    this.sheet.value = 'product';
  }

  choose(productId: string, variantId: string): void {
    this.variantOf.value = { ...this.variantOf.value, [productId]: variantId };
  }

  react(kind: Reaction): void {
    if (!this.you.value?.may.includes('react')) return this.signInFirst(() => this.react(kind));
    this.#ownReactions.set(kind, (this.#ownReactions.get(kind) ?? 0) + 1);
    this.#burst(kind, 1);
    this.#reactions.tap(kind);
  }

  // --- the room -----------------------------------------------------------------------------------------------

  #enter(): void {
    this.connection?.stop();
    const connection = new RoomConnection({
      url: config.value!.overlay_url,
      showId: this.showId,
      ticket: () => this.#ticket(),
    });
    this.connection = connection;
    connection.listen({
      onState: (state, events) => this.#onState(state, events),
      onStatus: (status, code) => this.#onStatus(status, code),
      onYou: (you) => this.hearYou(you),
      onPulse: ({ viewers, reactions }) => {
        this.viewers.value = viewers;
        for (const [kind, count] of Object.entries(reactions)) this.#others(kind as Reaction, count);
      },
      onOrder: (order) => this.checkout.news(order),
      onPlace: (place) => this.floor.hearPlace(place),
      onStanding: (standing) => this.floor.hearStanding(standing),
    });
    connection.start();
    this.#renewOnSignIn();
  }

  hearYou(you: You): void {
    this.you.value = you;
    this.floor.ticks.poke();
    this.floor.ask();
    void this.checkout.lookUp();
    if (!you.user_id) return;
    const wanted = this.#wanted;
    this.#wanted = null;
    wanted?.();
  }

  async #ticket(): Promise<string | null> {
    if (!me.value && !this.pass) return null;
    try {
      return (await api.roomTicket(this.showId, this.pass)).ticket;
    } catch (error) {
      // Signed out elsewhere: watch on as a guest.
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  }

  #renewOnSignIn(): void {
    let person = me.value?.id;
    effect(() => {
      const now = me.value?.id;
      if (now === person) return;
      person = now;
      this.floor.forget();
      this.connection?.renew();
      void this.checkout.loadWallet();
    });
  }

  #onState(state: RoomState, events: readonly AnyEvent[]): void {
    const before = this.state.value;
    this.room.value = state;
    // Whether it was cancelled is the shop's to say; not everybody asks in the same moment.
    if (before !== 'ended' && this.state.value === 'ended') setTimeout(() => void this.reload().catch(() => undefined), 200 + 1800 * Math.random());
    this.floor.ticks.poke();
    this.floor.hear(events);
    const pinned = events.findLast((event) => event.type === 'pinned');
    if (pinned) this.floor.pinned(pinned.card.product_id);
    const known = this.show.value?.items.some(({ product }) => product.id === state.pin?.product_id);
    if (pinned && !known) void this.reload().catch(() => undefined);
  }

  #onStatus(status: RoomStatus, code: number | null): void {
    this.status.value = status;
    if (code === CloseCode.REVOKED) {
      toast('You were signed out. You can watch on.', 'warn');
      me.value = null;
    } else if (code === CloseCode.PROTOCOL) {
      toast('This page is out of date. Reload it to talk and buy.', 'warn');
    } else if (code === CloseCode.NO_SUCH_SHOW) {
      this.problem.value = new Problem({ status: 404, code: 'no_such_show', detail: 'There is no such show.' });
    }
  }

  /** The room's sums include our own taps, which have floated already. */
  #others(kind: Reaction, count: number): void {
    const own = this.#ownReactions.get(kind) ?? 0;
    const counted = Math.min(own, count);
    this.#ownReactions.set(kind, own - counted);
    if (count > counted) this.#burst(kind, count - counted);
  }

  #burst(kind: Reaction, count: number): void {
    this.bursts.value = { kind, count, key: ++this.#burstKey };
  }
}
