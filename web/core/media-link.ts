/**
 * One WHIP or WHEP session: a peer, the resource it was posted to, and whether the node asks it to move.
 *
 * It begins once and ends once. Whoever holds it decides what comes next; a node that is about to stop asks for
 * another session elsewhere and keeps this one until it is there.
 */

import { Later } from './later.ts';
import { leave, postOffer } from './media.ts';
import { asProblem, type Problem } from './problem.ts';

const SILENT_MS = 1_000;
/** A closed path may be faster than the word that says why it was closed: the events bring it, or break off. */
const LAST_WORD_MS = 5_000;

export interface LinkLimits {
  postMs: number;
  connectMs: number;
  disconnectedMs: number;
}

export interface LinkHooks {
  connected: () => void;
  /** It will not come back; `problem` is null where the path broke and nobody said why. Told once. */
  lost: (problem: Problem | null) => void;
  /** Make another one; this one goes on meanwhile. */
  askedAway: () => void;
  /** Another session took this one's place: what it is lost with, so that it does not take it back. A publisher's. */
  displaced?: () => Problem;
}

export class MediaLink {
  #resource: string | null = null;
  #abort = new AbortController();
  readonly #later = new Later();
  #events: EventSource | null = null;
  #isOver = false;

  constructor(
    readonly peer: RTCPeerConnection,
    private readonly limits: LinkLimits,
    private readonly token: string | null,
    private readonly hooks: LinkHooks,
  ) {}

  get isConnected(): boolean {
    return !this.#isOver && this.peer.connectionState === 'connected';
  }

  get #isBroken(): boolean {
    return ['failed', 'closed'].includes(this.peer.connectionState);
  }

  async begin(url: string, offer: Promise<string>, described: Promise<void>): Promise<void> {
    const { peer } = this;
    peer.onconnectionstatechange = () => this.#changed();
    try {
      const sdp = await offer;
      const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(this.limits.postMs)]);
      const answer = await postOffer(url, sdp, this.token, signal);
      if (this.#isOver) return leave(answer.resource, this.token);
      this.#resource = answer.resource;
      await described;
      await peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
      if (!this.isConnected) this.#later.in(this.limits.connectMs, () => this.#lose(null));
    } catch (error) {
      this.#lose(asProblem(error));
    }
  }

  /** Says goodbye; nothing is told any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#later.clear();
    this.#events?.close();
    this.#abort.abort();
    leave(this.#resource, this.token);
    this.peer.close();
  }

  #changed(): void {
    if (this.#isOver) return;
    const state = this.peer.connectionState;
    if (state === 'connected') {
      this.#later.clear();
      this.#listen();
      this.hooks.connected();
    } else if (this.#isBroken) {
      if (this.hooks.displaced && this.#events) this.#later.in(LAST_WORD_MS, () => this.#lose(null));
      else this.#lose(null);
    } else if (state === 'disconnected') {
      this.#later.in(this.limits.disconnectedMs, () => this.#lose(null));
    }
  }

  #listen(): void {
    if (this.#events || !this.#resource || !globalThis.EventSource) return;
    const { displaced } = this.hooks;
    this.#events = new EventSource(`${this.#resource}/sse?events=reconnect${displaced ? ',inactive' : ''}`);
    this.#events.addEventListener('reconnect', () => !this.#isOver && this.hooks.askedAway());
    if (displaced) this.#events.addEventListener('inactive', ({ data }) => JSON.parse(data).reason === 'taken_over' && this.#lose(displaced()));
    this.#events.addEventListener('error', () => (this.#isBroken ? this.#lose(null) : void this.#verify()));
  }

  /** The events broke off: where nothing comes by the peer either, the node is dead, long before ICE says so. */
  async #verify(): Promise<void> {
    const before = await bytesReceived(this.peer);
    await new Promise((done) => setTimeout(done, SILENT_MS));
    if (!this.#isOver && (await bytesReceived(this.peer)) === before) this.#lose(null);
  }

  #lose(problem: Problem | null): void {
    if (this.#isOver) return;
    this.end();
    this.hooks.lost(problem);
  }
}

async function bytesReceived(peer: RTCPeerConnection): Promise<number> {
  let bytes = 0;
  (await peer.getStats()).forEach((entry) => {
    if (entry.type === 'transport') bytes += entry.bytesReceived ?? 0;
  });
  return bytes;
}
