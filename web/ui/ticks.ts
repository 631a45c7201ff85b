/** The server's now as a signal: it ticks while something counts down and wakes exactly when something is due. */

import { computed, signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';

const TICK_MS = 250;

export class Ticks {
  /** Unix ms by the server's clock, as of the last tick. */
  readonly now: { readonly value: number };
  readonly #now;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly serverNow: () => number,
    /** Times in Unix ms at which something changes by itself. */
    private readonly due: () => readonly number[],
    /** What still counts after its time: a minute in which the end is shown, say. */
    private readonly lingerMs = 0,
  ) {
    this.now = this.#now = signal(serverNow());
  }

  /** Something new may count down, or the clock was set. */
  readonly poke = (): void => {
    this.stop();
    const now = this.serverNow();
    this.#now.value = now;
    const due = this.due().filter((time) => time + this.lingerMs > now);
    if (due.length === 0) return;
    const next = Math.min(...due.filter((time) => time > now), Number.POSITIVE_INFINITY) - now;
    this.#timer = setTimeout(this.poke, Math.max(4, Math.min(next + 1, TICK_MS)));
  };

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** A value of signals and of `deps`: renders again only when it is another, not with every tick. */
export function useDerived<Value>(derive: () => Value, deps: readonly unknown[]): Value {
  return useMemo(() => computed(derive), deps as unknown[]).value;
}
