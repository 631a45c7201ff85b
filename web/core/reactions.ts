/** Taps on a reaction, folded: the first goes out at once, then sums, never more than the protocol's 20 a command. */

import type { Reaction } from './protocol.ts';

const EVERY_MS = 500;
const MOST = 20;

export class ReactionFold {
  #counts = new Map<Reaction, number>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly send: (kind: Reaction, count: number) => void) {}

  tap(kind: Reaction): void {
    this.#counts.set(kind, Math.min(MOST, (this.#counts.get(kind) ?? 0) + 1));
    if (!this.#timer) this.#flush();
  }

  #flush = (): void => {
    this.#timer = null;
    if (this.#counts.size === 0) return;
    for (const [kind, count] of this.#counts) this.send(kind, count);
    this.#counts.clear();
    this.#timer = setTimeout(this.#flush, EVERY_MS);
  };
}
