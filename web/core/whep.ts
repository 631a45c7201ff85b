/**
 * Watches a broadcast by WHEP, for as long as the page is open.
 *
 * The offer is posted at once, without candidates: the node is ICE-lite and learns our address from our checks. While
 * nothing is on air (409) it waits and asks again; when the peer fails it joins anew. A host who drops out is no
 * failure: the session stays and frames go on by themselves.
 */

import { Backoff, leave, postOffer, preferCodecs } from './media.ts';
import { asProblem, type Problem } from './problem.ts';

export type WatchState = 'connecting' | 'watching' | 'waiting' | 'retrying' | 'refused';

/** A peer with its offer made and its candidates on their way, before it is known where to post it. */
export interface Prepared {
  peer: RTCPeerConnection;
  offer: Promise<string>;
  described: Promise<void>;
}

/**
 * Makes the offer ahead, while the page still asks what to show: gathering candidates (a second, where the browser
 * hides addresses behind mDNS names) then costs the viewer nothing.
 */
export function prepare(iceServers: RTCIceServer[] = []): Prepared {
  const peer = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
  const video = peer.addTransceiver('video', { direction: 'recvonly' });
  peer.addTransceiver('audio', { direction: 'recvonly' });
  preferCodecs(video, globalThis.RTCRtpReceiver?.getCapabilities?.('video') ?? null);
  const created = peer.createOffer();
  const described = created.then((offer) => peer.setLocalDescription(offer));
  // Whoever joins awaits it again and hears of a failure there.
  described.catch(() => undefined);
  return { peer, offer: created.then((offer) => offer.sdp!), described };
}

export interface WhepOptions {
  url: string;
  token?: string | null;
  iceServers?: RTCIceServer[];
  /** Used for the first attempt. */
  prepared?: Prepared | null;
  onStream: (stream: MediaStream) => void;
  onState?: (state: WatchState, problem: Problem | null) => void;
}

const POST_DEADLINE_MS = 8_000;
const CONNECT_DEADLINE_MS = 10_000;
const DISCONNECTED_FOR_MS = 4_000;
const NOT_LIVE_MOST_MS = 5_000;

export class WhepPlayer {
  state: WatchState = 'connecting';
  #peer: RTCPeerConnection | null = null;
  #resource: string | null = null;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #running = false;
  readonly #failures = new Backoff(500, 10_000);
  readonly #notLive = new Backoff(1_000, NOT_LIVE_MOST_MS);

  #prepared: Prepared | null;

  constructor(private readonly options: WhepOptions) {
    this.#prepared = options.prepared ?? null;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    globalThis.addEventListener?.('pagehide', this.#hide);
    globalThis.addEventListener?.('pageshow', this.#show);
    void this.#join();
  }

  stop(): void {
    this.#running = false;
    globalThis.removeEventListener?.('pagehide', this.#hide);
    globalThis.removeEventListener?.('pageshow', this.#show);
    this.#end();
  }

  /** The room says the picture is there: ask now rather than at the end of the wait. */
  hurry(): void {
    if (!this.#running || this.#peer || !this.#timer) return;
    this.#failures.reset();
    this.#notLive.reset();
    void this.#join();
  }

  /** For reports and tests; null while there is no session. */
  async stats(): Promise<RTCStatsReport | null> {
    return (await this.#peer?.getStats()) ?? null;
  }

  async #join(): Promise<void> {
    this.#end();
    this.#tell('connecting', null);
    const { peer, offer, described } = this.#prepared ?? prepare(this.options.iceServers);
    this.#prepared = null;
    const abort = new AbortController();
    this.#peer = peer;
    this.#abort = abort;
    this.#watch(peer);
    try {
      const sdp = await offer;
      performance.mark('whep-post');
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(POST_DEADLINE_MS)]);
      const answer = await postOffer(this.options.url, sdp, this.options.token ?? null, signal);
      if (this.#peer !== peer) return leave(answer.resource, this.options.token);
      this.#resource = answer.resource;
      await described;
      await peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
      this.#in(CONNECT_DEADLINE_MS, () => peer.connectionState !== 'connected' && this.#again(null));
    } catch (error) {
      if (this.#peer === peer && !abort.signal.aborted) this.#again(asProblem(error));
    }
  }

  #watch(peer: RTCPeerConnection): void {
    const stream = new MediaStream();
    peer.ontrack = (event) => {
      if (peer !== this.#peer) return;
      stream.addTrack(event.track);
      if (event.track.kind === 'video') this.options.onStream(stream);
    };
    peer.onconnectionstatechange = () => {
      if (peer !== this.#peer) return;
      if (peer.connectionState === 'connected') {
        this.#clear();
        this.#failures.reset();
        this.#notLive.reset();
        this.#tell('watching', null);
      } else if (peer.connectionState === 'failed' || peer.connectionState === 'closed') {
        this.#again(null);
      } else if (peer.connectionState === 'disconnected') {
        this.#in(DISCONNECTED_FOR_MS, () => this.#again(null));
      }
    };
  }

  /** What was wrong decides when to ask again, and whether at all. */
  #again(problem: Problem | null): void {
    this.#end();
    if (!this.#running) return;
    if (problem?.status === 409) {
      this.#tell('waiting', problem);
      this.#in(Math.max(this.#notLive.next(), (problem.retryAfterS ?? 0) * 1000), () => void this.#join());
    } else if (problem && [400, 401, 403, 404, 406, 415, 422].includes(problem.status)) {
      this.#tell('refused', problem);
    } else {
      this.#tell('retrying', problem);
      this.#in(this.#failures.next(), () => void this.#join());
    }
  }

  #end(): void {
    this.#clear();
    this.#abort?.abort();
    this.#abort = null;
    const peer = this.#peer;
    this.#peer = null;
    if (peer) {
      leave(this.#resource, this.options.token);
      peer.close();
    }
    this.#resource = null;
  }

  #in(ms: number, work: () => void): void {
    this.#clear();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      work();
    }, ms);
  }

  #clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #tell(state: WatchState, problem: Problem | null): void {
    this.state = state;
    this.options.onState?.(state, problem);
  }

  readonly #hide = () => this.#end();
  readonly #show = (event: PageTransitionEvent) => {
    if (event.persisted && this.#running) void this.#join();
  };
}
