/** Waiting in line outside a show: the person's places over HTTP, by the shop's own clock. */

import { signal } from '@preact/signals';
import { api, httpClock } from '../core/api.ts';
import { asProblem } from '../core/problem.ts';
import type { PlaceView } from '../core/protocol.ts';
import type { Line } from '../core/purchase.ts';
import type { WaitlistRow } from '../core/types.ts';
import { sayingOf } from '../show/floor.ts';
import { me } from '../ui/session.ts';
import { Ticks } from '../ui/ticks.ts';
import type { Waiting } from '../ui/waitlist.tsx';
import type { Till } from './till.ts';

const ASK_EVERY_MS = 15_000;

export class Counter implements Waiting {
  readonly places = signal<Readonly<Record<string, PlaceView>>>({});
  readonly rows = signal<readonly WaitlistRow[] | null>(null);
  readonly said = signal<Readonly<Record<string, { code: string; text: string }>>>({});
  readonly working = signal<ReadonlySet<string>>(new Set());
  readonly ticks: Ticks;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly till: Till,
    /** Other times the page wakes for: a flash price's end, a drop's opening. */
    private readonly due: () => readonly number[] = () => [],
  ) {
    this.ticks = new Ticks(
      () => httpClock.serverNow(),
      () => [...this.due(), ...Object.values(this.places.value).flatMap(({ offer_ends_ms }) => offer_ends_ms ?? [])],
    );
  }

  get now(): { readonly value: number } {
    return this.ticks.now;
  }

  /** Asks now and, while the page is looked at, again and again: nobody calls from the room here. */
  open(): () => void {
    void this.ask().catch(() => undefined);
    this.#timer = setInterval(() => document.hidden || void this.ask().catch(() => undefined), ASK_EVERY_MS);
    return () => {
      if (this.#timer) clearInterval(this.#timer);
      this.ticks.stop();
    };
  }

  async ask(): Promise<void> {
    if (!me.value) return this.#hear([]);
    this.#hear((await api.waitlist()).places);
  }

  #hear(rows: readonly WaitlistRow[]): void {
    this.rows.value = rows;
    // The newest first, one place a variant: what is waited for now beats what is over.
    this.places.value = Object.fromEntries([...rows].reverse().map((row) => [row.variant_id, row]));
    this.ticks.poke();
  }

  async join(variantId: string, quantity: number): Promise<void> {
    if (!me.value) return this.till.signInFirst(() => void this.join(variantId, quantity));
    await this.#work(variantId, () => api.joinWaitlist(variantId, quantity));
  }

  async leave(variantId: string): Promise<void> {
    await this.#work(variantId, () => api.leaveWaitlist(variantId));
  }

  take(line: Line): void {
    this.till.checkout.buy([line]);
  }

  async #work(key: string, work: () => Promise<unknown>): Promise<void> {
    if (this.working.value.has(key)) return;
    this.working.value = new Set([...this.working.value, key]);
    const { [key]: _, ...others } = this.said.value;
    this.said.value = others;
    try {
      await work();
      await this.ask();
    } catch (error) {
      const problem = asProblem(error);
      this.said.value = { ...this.said.value, [key]: { code: problem.code, text: sayingOf(problem) } };
      void this.ask().catch(() => undefined);
    } finally {
      const left = new Set(this.working.value);
      left.delete(key);
      this.working.value = left;
    }
  }
}
