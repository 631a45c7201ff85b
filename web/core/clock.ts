/**
 * The server's clock as seen from here.
 *
 * Each answer gives one sample: the server's time, and when we asked and heard. The true offset lies within half a
 * round trip of the middle, so the sample with the shortest round trip is the best one (RFC 5905, section 10: the
 * clock filter); it is kept until a better one comes or it grows old.
 */
export class ServerClock {
  #offsetMs = 0;
  #roundTripMs = Number.POSITIVE_INFINITY;
  #sampledAtMs = 0;

  constructor(
    private readonly now: () => number = Date.now,
    private readonly maxAgeMs = 600_000,
  ) {}

  sample(serverMs: number, askedAtMs: number, heardAtMs: number): void {
    const roundTripMs = Math.max(0, heardAtMs - askedAtMs);
    const old = heardAtMs - this.#sampledAtMs > this.maxAgeMs;
    if (roundTripMs > this.#roundTripMs && !old) return;
    this.#offsetMs = serverMs - (askedAtMs + heardAtMs) / 2;
    this.#roundTripMs = roundTripMs;
    this.#sampledAtMs = heardAtMs;
  }

  /** Unix ms by the server's clock; the own clock before the first sample. */
  serverNow(): number {
    return this.now() + this.#offsetMs;
  }

  get offsetMs(): number {
    return this.#offsetMs;
  }
}
