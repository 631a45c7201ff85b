/** What the studio and the console are made of: one show, its room, what it sells, and what staff do to it. */

import { batch, computed, signal, type Signal } from '@preact/signals';
import { api } from '../../core/api.ts';
import { asProblem, Problem } from '../../core/problem.ts';
import {
  CloseCode,
  type AnnounceAuction,
  type AnyCommand,
  type AnyEvent,
  type AuctionView,
  type DropView,
  type FlashView,
  type ScheduleDrop,
  type StartFlash,
  type You,
} from '../../core/protocol.ts';
import { EMPTY_ROOM, type RoomState } from '../../core/room-state.ts';
import { RoomConnection, type CommandWish, type RoomStatus } from '../../core/room.ts';
import { deadlines, flashIsOn } from '../../core/selling.ts';
import type { Product, Show } from '../../core/types.ts';
import { config, currency, loadSession, me } from '../session.ts';
import type { Tone } from '../status.tsx';
import { Ticks } from '../ticks.ts';
import { moved, rowsOf, type RunRow } from './run.ts';

/** What a show sold so far: paid orders, units and revenue with tax. */
export interface Summary {
  orders: number;
  paid: number;
  units: number;
  revenue_minor: number;
  viewers_now: number;
}

export type Phase = 'loading' | 'signed_out' | 'barred' | 'failed' | 'open';

/** How the last action went; `key` tells one from the next of the same words. */
export interface Outcome {
  key: number;
  tone: Tone;
  text: string;
}

const REFRESH_EVERY_MS = 20_000;
const AFTER_SALE_MS = 1_200;

export interface DeskOptions {
  showId: string;
  /** Whether this person may work here. */
  admits: (can: Show['can']) => boolean;
  title: string;
}

export class DeskStore {
  readonly phase = signal<Phase>('loading');
  readonly problem = signal<Problem | null>(null);
  readonly show = signal<Show | null>(null);
  readonly room = signal<RoomState>(EMPTY_ROOM);
  readonly status = signal<RoomStatus>('connecting');
  /** Why the room will not be entered again by itself. */
  readonly closedBy = signal<number | null>(null);
  readonly you = signal<You | null>(null);
  readonly viewers = signal(0);
  readonly summary = signal<Summary | null>(null);
  readonly startedAt = signal<number | null>(null);
  readonly outcome = signal<Outcome | null>(null);
  /** Actions under way, by a key of their own. */
  readonly busy = signal<ReadonlySet<string>>(new Set());
  readonly selected = signal<string | null>(null);
  /** The product whose ways to sell are open. */
  readonly selling = signal<string | null>(null);
  connection: RoomConnection | null = null;

  readonly #kept = new Map<string, Signal<unknown>>();
  readonly #seen = signal<ReadonlySet<string>>(new Set());
  #saleTimer: ReturnType<typeof setTimeout> | null = null;
  #refreshTimer: ReturnType<typeof setInterval> | null = null;
  #outcomes = 0;
  #edits = 0;

  /** The room is live truth; before its first snapshot the page's own data has to do. */
  readonly state = computed(() => (this.room.value.offset ? this.room.value.show_state : (this.show.value?.state ?? 'scheduled')));
  readonly picture = computed(() => (this.room.value.offset ? this.room.value.picture : (this.show.value?.picture ?? 'idle')));
  readonly onAir = computed(() => this.state.value === 'live' && this.picture.value === 'live');

  readonly ticks = new Ticks(
    () => this.#serverNow(),
    () => deadlines(this.room.value),
  );
  // Slices: what reads them is left alone by comments.
  readonly #flashes = computed(() => this.room.value.flashes);
  readonly #drops = computed(() => this.room.value.drops);
  readonly #auctions = computed(() => this.room.value.auctions);
  readonly #stock = computed(() => this.room.value.stock);
  readonly floor = computed(() => ({ flashes: this.#flashes.value, drops: this.#drops.value, auctions: this.#auctions.value, stock: this.#stock.value }));
  /** Changes when a flash price ends by the clock. */
  readonly #flashesOver = computed(() =>
    Object.values(this.#flashes.value)
      .filter((flash) => !flashIsOn(flash, this.ticks.now.value))
      .map((flash) => flash.flash_id)
      .join(),
  );

  readonly run = computed<RunRow[]>(() => {
    this.#flashesOver.value;
    return rowsOf(this.show.value?.items ?? [], this.room.value, this.#seen.value, currency.value, this.#serverNow());
  });

  readonly sales = computed(() => this.room.value.feed.filter((row) => row.kind === 'purchase').reverse());

  constructor(readonly options: DeskOptions) {}

  /** What somebody chose or typed, by name: a turned tablet is laid out anew, and this outlives the part that shows it. */
  kept<Value>(name: string, initial: Value): Signal<Value> {
    let found = this.#kept.get(name);
    if (!found) this.#kept.set(name, (found = signal<unknown>(initial)));
    return found as Signal<Value>;
  }

  /** By the room's word; until it is heard, by what the page was told, so that the controls hold their places. */
  may(type: AnyCommand['type']): boolean {
    const you = this.you.value;
    return you ? you.may.includes(type) : likely(this.show.value?.can, type);
  }

  /** Orders and revenue are for those who run the show, not for those who keep its talk. */
  get seesSales(): boolean {
    return this.may('pin');
  }

  async load(): Promise<void> {
    this.problem.value = null;
    this.phase.value = 'loading';
    try {
      await loadSession();
      if (!me.value) return void (this.phase.value = 'signed_out');
      await this.#loadShow();
      if (!this.options.admits(this.show.value!.can)) return void (this.phase.value = 'barred');
      this.phase.value = 'open';
      this.#enter();
    } catch (error) {
      const problem = asProblem(error);
      batch(() => {
        this.problem.value = problem;
        this.phase.value = problem.status === 401 && problem.code === 'not_signed_in' ? 'signed_out' : 'failed';
      });
    }
  }

  /** Leaves the room and stops asking. */
  leave(): void {
    this.connection?.stop();
    this.connection = null;
    this.ticks.stop();
    if (this.#refreshTimer) clearInterval(this.#refreshTimer);
    if (this.#saleTimer) clearTimeout(this.#saleTimer);
    document.removeEventListener('visibilitychange', this.#looked);
  }

  async refresh(): Promise<void> {
    await Promise.all([this.#loadShow(), this.#loadSummary()]);
  }

  // --- doing --------------------------------------------------------------------------------------------------

  /** Does something and says how it went; null when it worked. One action of a key at a time. */
  async act(key: string, work: () => Promise<unknown>, said: string): Promise<Problem | null> {
    if (this.busy.value.has(key)) return new Problem({ code: 'busy', detail: 'This is being done already.' });
    this.busy.value = new Set([...this.busy.value, key]);
    try {
      await work();
      this.tell(said, 'ok');
      return null;
    } catch (error) {
      const problem = asProblem(error);
      this.tell(sentence(problem), 'danger');
      return problem;
    } finally {
      const left = new Set(this.busy.value);
      left.delete(key);
      this.busy.value = left;
    }
  }

  tell(text: string, tone: Tone = 'plain'): void {
    this.outcome.value = { key: ++this.#outcomes, tone, text };
  }

  command(key: string, wish: CommandWish, said: string): Promise<Problem | null> {
    return this.act(key, () => this.send(wish), said);
  }

  send(wish: CommandWish) {
    if (!this.connection) return Promise.reject(new Problem({ code: 'no_room', detail: 'The room is not open yet.' }));
    return this.connection.send(wish);
  }

  pin(row: RunRow): Promise<Problem | null> {
    const { product_id, title } = row.card;
    return this.command(`pin:${product_id}`, { type: 'pin', product_id }, `Pinned: ${title}.`);
  }

  unpin(): Promise<Problem | null> {
    return this.command('unpin', { type: 'unpin' }, 'Nothing is pinned now.');
  }

  deleteComment(comment_id: string, name: string): Promise<Problem | null> {
    return this.command(`delete:${comment_id}`, { type: 'delete_comment', comment_id }, `Deleted a comment by ${name}.`);
  }

  /** Mutes for some seconds, or for good (0). */
  mute(user_id: string, name: string, duration_s: number): Promise<Problem | null> {
    const how = duration_s ? `for ${Math.round(duration_s / 60)} minutes` : 'for the rest of the show';
    return this.command(`mute:${user_id}`, { type: 'mute', user_id, duration_s }, `${name} is muted ${how}.`);
  }

  unmute(user_id: string, name: string): Promise<Problem | null> {
    return this.command(`mute:${user_id}`, { type: 'unmute', user_id }, `${name} may write again.`);
  }

  startShow(): Promise<Problem | null> {
    return this.command('show', { type: 'start_show' }, 'The show has started.');
  }

  endShow(): Promise<Problem | null> {
    return this.command('show', { type: 'end_show' }, 'The show has ended.');
  }

  // --- other ways to sell -------------------------------------------------------------------------------------

  startFlash(title: string, wish: Omit<StartFlash, 'type' | 'id'>): Promise<Problem | null> {
    return this.command(`sell:${wish.variant_id}`, { type: 'start_flash', ...wish }, `Flash price is on: ${title}.`);
  }

  endFlash(flash: FlashView): Promise<Problem | null> {
    return this.command(`flash:${flash.flash_id}`, { type: 'end_flash', flash_id: flash.flash_id }, 'The flash price is over.');
  }

  scheduleDrop(title: string, wish: Omit<ScheduleDrop, 'type' | 'id'>): Promise<Problem | null> {
    return this.command(`sell:${wish.variant_id}`, { type: 'schedule_drop', ...wish }, `Drop scheduled: ${title}.`);
  }

  cancelDrop(drop: DropView): Promise<Problem | null> {
    return this.command(`drop:${drop.drop_id}`, { type: 'cancel_drop', drop_id: drop.drop_id }, `Drop taken back: ${drop.card.title}.`);
  }

  announceAuction(title: string, wish: Omit<AnnounceAuction, 'type' | 'id'>): Promise<Problem | null> {
    return this.command(`sell:${wish.variant_id}`, { type: 'announce_auction', ...wish }, `Auction announced: ${title}.`);
  }

  openAuction({ auction_id, card }: AuctionView): Promise<Problem | null> {
    return this.command(`auction:${auction_id}`, { type: 'open_auction', auction_id }, `The auction is open: ${card.title}.`);
  }

  cancelAuction({ auction_id, card }: AuctionView): Promise<Problem | null> {
    return this.command(`auction:${auction_id}`, { type: 'cancel_auction', auction_id }, `The auction is called off: ${card.title}.`);
  }

  titleOf(variantId: string): string {
    const row = this.run.value.find(({ card }) => card.variants.some(({ variant_id }) => variant_id === variantId));
    const variant = row?.card.variants.find(({ variant_id }) => variant_id === variantId);
    if (!row || !variant) return 'A product';
    return row.card.variants.length > 1 ? `${row.card.title}, ${variant.title}` : row.card.title;
  }

  #serverNow(): number {
    return this.connection?.clock.serverNow() ?? Date.now();
  }

  // --- the run-of-show's order --------------------------------------------------------------------------------

  move(from: number, to: number): Promise<Problem | null> {
    const items = moved(this.show.value?.items ?? [], from, to);
    return this.#setItems(items, `Moved to place ${to + 1}.`);
  }

  add(product: Product): Promise<Problem | null> {
    const items = this.show.value?.items ?? [];
    if (items.some((item) => item.product.id === product.id)) return Promise.resolve(null);
    return this.#setItems([...items, { position: items.length, product, state: 'upcoming' }], `Added: ${product.title}.`);
  }

  remove(productId: string): Promise<Problem | null> {
    const items = this.show.value?.items ?? [];
    return this.#setItems(items.filter((item) => item.product.id !== productId), 'Taken out of the run-of-show.');
  }

  /** Shown at once, put back where the server refuses. */
  async #setItems(items: Show['items'], said: string): Promise<Problem | null> {
    const before = this.show.value!;
    this.#edits++;
    this.show.value = { ...before, items };
    const product_ids = items.map((item) => item.product.id);
    const problem = await this.act('items', () => api.staff.put(`/shows/${before.id}/items`, { product_ids }), said);
    if (problem) this.show.value = { ...this.show.value!, items: before.items };
    return problem;
  }

  // --- the room -----------------------------------------------------------------------------------------------

  #enter(): void {
    this.leave();
    const connection = new RoomConnection({
      url: config.value!.overlay_url,
      showId: this.options.showId,
      ticket: () => this.#ticket(),
    });
    this.connection = connection;
    connection.listen({
      onState: (state, events) => this.#onState(state, events),
      onStatus: (status, code) => this.#onStatus(status, code),
      onYou: (you) => {
        this.you.value = you;
        if (!this.summary.value) void this.#loadSummary().catch(() => undefined);
      },
      onPulse: (pulse) => (this.viewers.value = pulse.viewers),
    });
    connection.start();
    this.#refreshTimer = setInterval(() => document.hidden || void this.refresh().catch(() => undefined), REFRESH_EVERY_MS);
    document.addEventListener('visibilitychange', this.#looked);
  }

  async #ticket(): Promise<string> {
    try {
      return (await api.roomTicket(this.options.showId)).ticket;
    } catch (error) {
      if (asProblem(error).status === 401) this.#signedOut();
      throw error;
    }
  }

  #onState(state: RoomState, events: readonly AnyEvent[]): void {
    batch(() => {
      const pin = state.pin?.product_id;
      if (pin && !this.#seen.value.has(pin)) this.#seen.value = new Set([...this.#seen.value, pin]);
      this.room.value = state;
      this.ticks.poke();
      for (const event of events) {
        if (event.type === 'show_started') this.startedAt.value = event.at_ms;
        if (event.type === 'purchased') this.#afterSale();
      }
    });
  }

  #onStatus(status: RoomStatus, code: number | null): void {
    this.status.value = status;
    this.closedBy.value = code;
    if (code === CloseCode.REVOKED) this.#signedOut();
  }

  #signedOut(): void {
    this.leave();
    me.value = null;
    this.phase.value = 'signed_out';
  }

  // --- what is asked over HTTP --------------------------------------------------------------------------------

  async #loadShow(): Promise<void> {
    const edits = this.#edits;
    const show = await api.show(this.options.showId);
    // An answer from before the order was changed would undo that on the screen for a moment.
    if (edits !== this.#edits || this.busy.value.has('items')) return;
    batch(() => {
      this.show.value = show;
      if (show.started_at) this.startedAt.value = Date.parse(show.started_at);
      if (!this.room.value.offset) this.viewers.value = show.viewers;
    });
    document.title = `${show.title} · ${this.options.title}`;
  }

  async #loadSummary(): Promise<void> {
    if (this.seesSales) this.summary.value = await api.staff.get<Summary>(`/shows/${this.options.showId}/summary`);
  }

  #afterSale(): void {
    if (this.#saleTimer) return;
    this.#saleTimer = setTimeout(() => {
      this.#saleTimer = null;
      void this.#loadSummary().catch(() => undefined);
    }, AFTER_SALE_MS);
  }

  readonly #looked = () => {
    if (!document.hidden) void this.refresh().catch(() => undefined);
  };
}

const RUNS: readonly string[] = ['pin', 'unpin', 'start_show', 'end_show', 'announce_auction', 'open_auction', 'cancel_auction'];
const MODERATES: readonly string[] = ['delete_comment', 'mute', 'unmute'];

function likely(can: Show['can'] | undefined, type: string): boolean {
  if (!can) return false;
  return can.produce || type === 'say' || (can.host && RUNS.includes(type)) || (can.moderate && MODERATES.includes(type));
}

/** A problem in one line: what was wrong, what to do. */
export function sentence(problem: Problem): string {
  const wait = problem.retryAfterS ? `Try again in ${Math.ceil(problem.retryAfterS)} s.` : problem.whatToDo;
  return [problem.message, wait].filter(Boolean).join(' ');
}

/** The show of `/studio/{id}` and `/console/{id}`. */
export const showIdOf = (pathname: string): string => decodeURIComponent(pathname.split('/').filter(Boolean).at(-1) ?? '');
