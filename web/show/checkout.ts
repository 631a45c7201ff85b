/** Buying, in the show or in the shop: who pays with what to where, one purchase at a time, and every answer to it. */

import { batch, computed, signal } from '@preact/signals';
import { api } from '../core/api.ts';
import { isExpired } from '../core/format.ts';
import { Later } from '../core/later.ts';
import { paymentUi } from '../core/payment/index.ts';
import { asProblem, Problem } from '../core/problem.ts';
import type { OrderView } from '../core/protocol.ts';
import { afterNews, afterProblem, IDLE, instead, type Line, type Purchase } from '../core/purchase.ts';
import type { RoomConnection } from '../core/room.ts';
import { follow, OpenOrders, OVER, place, viewOf } from '../core/tap.ts';
import type { Address, Card, Order } from '../core/types.ts';
import { uuidv7 } from '../core/uuidv7.ts';
import { config, me } from '../ui/session.ts';
import { toast, toastProblem } from '../ui/status.tsx';

export type Need = 'sign-in' | 'address' | 'card' | 'review';

/** What a card and an address are asked for, where it is no purchase: a bid, being ready for a drop. */
export interface Goal {
  lead: string;
  /** The button once nothing is missing. */
  label: string;
  run: () => void;
}

/** Where buying happens: a show, or a page of the shop, which has neither room nor bag. */
export interface CheckoutPlace {
  readonly showId: string | null;
  readonly mediaTime: { rtp: number | null };
  readonly connection: RoomConnection | null;
  readonly bag: { remove(variantIds: string[]): void };
  open(sheet: 'checkout' | null): void;
}

/** What the sheet and the outcome need of the place they stand in. */
export interface CheckoutSheetPlace {
  readonly checkout: Checkout;
  readonly sheet: { readonly value: string | null };
  open(sheet: null): void;
}

const EARLY_MOST_S = 3;
const WALLET_AGAIN_MS = 2_000;
const LOOKS_AFTER_MS = [0, 2_000, 6_000];

export class Checkout {
  readonly purchase = signal<Purchase>(IDLE);
  readonly cards = signal<Card[] | null>(null);
  readonly addresses = signal<Address[] | null>(null);
  readonly cardId = signal<string | null>(null);
  readonly addressId = signal<string | null>(null);
  /** Cards that were declined on this page: still there to be tried again, but nobody's first choice. */
  readonly declined = signal<ReadonlySet<string>>(new Set());
  readonly showFirstName = signal(false);
  /** What the checkout sheet is about to buy. */
  readonly intent = signal<Line[]>([]);
  /** A step the buyer asked for, whatever is missing: another card, another address. */
  readonly asked = signal<Need | null>(null);
  readonly orders = signal<Order[] | null>(null);
  readonly ordersProblem = signal<Problem | null>(null);
  readonly authenticating = signal(false);
  /** In place of a purchase: why the sheet is open. */
  readonly goal = signal<Goal | null>(null);

  readonly card = computed(() => pick(this.cards.value?.filter((card) => !isExpired(card)) ?? null, this.cardId.value));
  readonly address = computed(() => pick(this.addresses.value, this.addressId.value));

  /** The first thing that stands between the buyer and one tap. */
  readonly need = computed<Need>(() => {
    if (!me.value) return 'sign-in';
    if (this.asked.value) return this.asked.value;
    if (!this.address.value) return 'address';
    return this.card.value ? 'review' : 'card';
  });

  readonly ready = computed(() => !!me.value && !!this.card.value && !!this.address.value);

  readonly #open = new OpenOrders(localStorage);
  readonly #wallet = new Later();
  #following: AbortController | null = null;
  #payingWith: string | null = null;
  /** Orders that an auction made for its winner: who can't pay is passed over, so no second card is offered. */
  readonly #won = new Set<string>();

  constructor(private readonly store: CheckoutPlace) {}

  async loadWallet(): Promise<void> {
    const person = me.value;
    if (!person) {
      batch(() => {
        this.cards.value = this.addresses.value = this.orders.value = null;
        this.cardId.value = this.addressId.value = null;
      });
      return;
    }
    this.showFirstName.value = person.show_first_name;
    const [cards, addresses] = await Promise.allSettled([api.cards(), api.addresses()]);
    if (me.value?.id !== person.id) return;
    batch(() => {
      if (cards.status === 'fulfilled') this.cards.value = cards.value.cards;
      if (addresses.status === 'fulfilled') this.addresses.value = addresses.value.addresses;
    });
    // Without them no tap would ever be enough.
    if (!this.cards.value || !this.addresses.value) this.#wallet.in(WALLET_AGAIN_MS * (1 + Math.random()), () => void this.loadWallet());
  }

  async loadOrders(): Promise<void> {
    this.ordersProblem.value = null;
    try {
      this.orders.value = (await api.orders()).orders;
    } catch (error) {
      this.ordersProblem.value = asProblem(error);
    }
  }

  /** The Buy button: at once where everything is known, else by way of the sheet. */
  buy(lines: Line[]): void {
    if (this.busy || lines.length === 0) return;
    this.asked.value = null;
    if (!this.ready.value) return this.review(lines);
    void this.#place(lines, uuidv7());
  }

  /** Opens the sheet: what is missing first, then the summary. */
  review(lines: Line[], asked: Need | null = null): void {
    batch(() => {
      this.goal.value = null;
      this.intent.value = lines;
      this.asked.value = asked;
      this.store.open('checkout');
    });
  }

  /** Asks for what is missing (or, `always`, shows what is there) and then does it. */
  prepare(goal: Goal, { always = false, asked = null as Need | null } = {}): void {
    if (this.ready.value && !always && !asked) return goal.run();
    batch(() => {
      this.goal.value = goal;
      this.intent.value = [];
      this.asked.value = asked;
      this.store.open('checkout');
    });
  }

  /** Whether there is a room that could be told of a purchase. */
  get hasRoom(): boolean {
    return this.store.showId !== null;
  }

  get busy(): boolean {
    return ['placing', 'charging'].includes(this.purchase.value.step);
  }

  /** The same order again: nothing is ordered twice. */
  retry(): void {
    const purchase = this.purchase.value;
    if (purchase.step === 'unknown') void this.#place(purchase.lines, purchase.orderId);
  }

  /** Whether an order without an answer arrived after all: asked when the connection is back. It may still be on its way. */
  async lookUp(): Promise<void> {
    for (const waitMs of LOOKS_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      const purchase = this.purchase.value;
      if (purchase.step !== 'unknown') return;
      await api.order(purchase.orderId).then((order) => this.news(viewOf(order)), () => undefined);
    }
  }

  acceptInstead(): void {
    const lines = instead(this.purchase.value);
    if (lines) this.buy(lines);
  }

  anotherCard(): void {
    const purchase = this.purchase.value;
    if (purchase.step === 'idle') return;
    this.purchase.value = IDLE;
    this.review(purchase.lines, 'card');
  }

  isWon(orderId: string): boolean {
    return this.#won.has(orderId);
  }

  /** Takes up an order that an auction made for this buyer, and follows it to its end. `old`: what is over by now is no news. */
  async adopt(orderId: string, { old = false } = {}): Promise<void> {
    const purchase = this.purchase.value;
    if ('orderId' in purchase && purchase.orderId === orderId && purchase.step !== 'declined') return;
    this.#won.add(orderId);
    try {
      const order = await api.order(orderId);
      if (!this.busy && !(old && OVER.has(order.state))) this.#pickUp(order);
    } catch (error) {
      // Its news come through the room as well, and it stands under the account.
      if (!(error instanceof Problem)) throw error;
    }
  }

  dismiss(): void {
    this.purchase.value = IDLE;
  }

  addCard(card: Card): void {
    batch(() => {
      this.cards.value = [...(this.cards.value ?? []).filter(({ id }) => id !== card.id), card];
      this.cardId.value = card.id;
      this.asked.value = null;
    });
  }

  addAddress(address: Address): void {
    batch(() => {
      this.addresses.value = [...(this.addresses.value ?? []).filter(({ id }) => id !== address.id), address];
      this.addressId.value = address.id;
      this.asked.value = null;
    });
  }

  setShowFirstName(shown: boolean): void {
    this.showFirstName.value = shown;
    void api.updateMe({ show_first_name: shown }).then((person) => (me.value = person), () => undefined);
  }

  // --- an order's way -----------------------------------------------------------------------------------------

  async #place(lines: Line[], orderId: string): Promise<void> {
    batch(() => {
      this.purchase.value = { step: 'placing', orderId, lines };
      this.store.open(null);
    });
    this.#payingWith = this.card.value?.id ?? null;
    const offer_id = lines.find((line) => line.offer_id)?.offer_id;
    const tap = {
      show_id: this.store.showId,
      ...(offer_id ? { offer_id } : {}),
      lines: lines.map(({ variant_id, quantity, unit_price_minor }) => ({ variant_id, quantity, unit_price_minor })),
      card_id: this.#payingWith,
      address_id: this.address.value?.id ?? null,
      show_first_name: this.showFirstName.value,
      media_time: this.store.mediaTime.rtp,
    };
    try {
      this.news(await place(tap, this.store.connection, this.#open, orderId));
    } catch (error) {
      this.#refused(lines, asProblem(error));
    }
  }

  #refused(lines: Line[], problem: Problem): void {
    if (problem.code === 'not_open_yet' && (problem.retryAfterS ?? Infinity) <= EARLY_MOST_S) return this.#again(lines, problem.retryAfterS!);
    const missing: Record<string, Need> = { no_card: 'card', no_address: 'address', not_signed_in: 'sign-in' };
    const need = missing[problem.code];
    if (!need) {
      this.purchase.value = afterProblem(this.purchase.value, problem);
      return;
    }
    this.purchase.value = IDLE;
    if (need === 'sign-in') me.value = null;
    this.review(lines, need === 'sign-in' ? null : need);
  }

  /** A tap a moment before a drop opens is sent again when it does; dismissed meanwhile, it is not. */
  #again(lines: Line[], inS: number): void {
    const waiting = this.purchase.value;
    setTimeout(() => this.purchase.value === waiting && void this.#place(lines, uuidv7()), inS * 1000 + 15);
  }

  /** News of an order from anywhere; the current purchase's step, the list of orders and the bag follow. */
  news(order: OrderView): void {
    const before = this.purchase.value;
    const after = afterNews(before, order);
    this.purchase.value = after;
    this.orders.value = this.orders.value?.map((row) => (row.id === order.order_id ? withNews(row, order) : row)) ?? null;
    if (OVER.has(order.state)) this.#open.remove(order.order_id);
    if (after === before) return;
    if (after.step === 'declined' && this.#payingWith) this.declined.value = new Set([...this.declined.value, this.#payingWith]);
    if (after.step === 'paid') this.store.bag.remove(after.lines.map((line) => line.variant_id));
    if (after.step === 'charging') this.#follow(order.order_id);
    else this.#following?.abort();
    if (after.step === 'action' && before.step !== 'action') void this.authenticate();
  }

  #follow(orderId: string): void {
    this.#following?.abort();
    this.#following = new AbortController();
    void follow(orderId, this.#following.signal, (order) => this.news(order));
  }

  /** 3-D Secure. Refused or closed: the order says so itself, or stays open to be tried again. */
  async authenticate(): Promise<void> {
    const purchase = this.purchase.value;
    if (purchase.step !== 'action' || this.authenticating.value) return;
    this.authenticating.value = true;
    try {
      const secret = purchase.order.client_secret ?? (await api.order(purchase.orderId)).client_secret;
      if (secret) await (await paymentUi(config.value!.payments)).authenticate(secret);
      this.news(viewOf(await api.authenticated(purchase.orderId)));
    } catch (error) {
      toastProblem(error);
    } finally {
      this.authenticating.value = false;
    }
  }

  /** Gives up an order that waits for its buyer's bank; the server says what became of it. */
  async cancel(): Promise<void> {
    const purchase = this.purchase.value;
    if (purchase.step !== 'action') return;
    try {
      this.news(viewOf(await api.cancelOrder(purchase.orderId)));
    } catch (error) {
      toastProblem(error);
    }
  }

  /** Orders that were under way when the page was left. */
  async resume(): Promise<void> {
    for (const { id } of this.#open.list()) {
      try {
        const order = await api.order(id);
        if (OVER.has(order.state)) {
          this.#open.remove(id);
          const words = order.state === 'paid' ? 'was paid' : order.state === 'declined' ? 'was declined' : null;
          if (words) toast(`Order ${order.number} ${words}.`, order.state === 'paid' ? 'ok' : 'warn');
        } else if (this.purchase.value.step === 'idle') {
          this.#pickUp(order);
        }
      } catch (error) {
        if (error instanceof Problem && (error.status === 404 || error.status === 403)) this.#open.remove(id);
      }
    }
  }

  #pickUp(order: Order): void {
    const lines = order.lines.map(({ variant_id, quantity, unit_price_minor, title }) => ({
      variant_id,
      quantity,
      unit_price_minor,
      title,
    }));
    this.#payingWith = null;
    this.purchase.value = { step: 'placing', orderId: order.id, lines };
    this.news(viewOf(order));
  }
}

function pick<Row extends { id: string; is_default: boolean }>(rows: Row[] | null, id: string | null): Row | null {
  return rows?.find((row) => row.id === id) ?? rows?.find((row) => row.is_default) ?? rows?.[0] ?? null;
}

function withNews(row: Order, news: OrderView): Order {
  return { ...row, state: news.state as Order['state'], failure_message: news.message ?? row.failure_message ?? null };
}
