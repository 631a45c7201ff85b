/**
 * Watches a broadcast by WHEP, for as long as the page is open.
 *
 * The offer is posted at once, without candidates: the node is ICE-lite and learns our address from our checks. While
 * nothing is on air (409) it waits and asks again; when the peer fails it joins anew. A host who drops out is no
 * failure: the session stays and frames go on by themselves. A node that is about to stop asks us to move: the new
 * session is made beside the old one and shown from its first decoded frame, so that nobody sees it happen.
 */

import { keepCushion } from './cushion.ts';
import { Later } from './later.ts';
import { MediaLink } from './media-link.ts';
import { Backoff, preferCodecs } from './media.ts';
import type { Problem } from './problem.ts';

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

const LIMITS = { postMs: 8_000, connectMs: 10_000, disconnectedMs: 4_000 };
const NOT_LIVE_MOST_MS = 5_000;
const LOOK_MS = 50;
/** After this a new session is shown even where the browser doesn't say whether it has decoded a frame. */
const SEEN_WITHIN_MS = 10_000;

interface Session {
  link: MediaLink;
  stream: MediaStream;
}

export class WhepPlayer {
  state: WatchState = 'connecting';
  #now: Session | null = null;
  /** Begun beside `#now`, to take its place. */
  #next: Session | null = null;
  #shown: MediaStream | null = null;
  readonly #later = new Later();
  #running = false;
  #prepared: Prepared | null;
  readonly #failures = new Backoff(500, 10_000);
  readonly #notLive = new Backoff(1_000, NOT_LIVE_MOST_MS);

  constructor(private readonly options: WhepOptions) {
    this.#prepared = options.prepared ?? null;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    globalThis.addEventListener?.('pagehide', this.#hide);
    globalThis.addEventListener?.('pageshow', this.#show);
    this.#join();
  }

  stop(): void {
    this.#running = false;
    globalThis.removeEventListener?.('pagehide', this.#hide);
    globalThis.removeEventListener?.('pageshow', this.#show);
    this.#end();
  }

  /** The room says the picture is there: ask now rather than at the end of the wait. */
  hurry(): void {
    if (!this.#running || this.#now || !this.#later.isDue) return;
    this.#failures.reset();
    this.#notLive.reset();
    this.#join();
  }

  /** For reports and tests; null while there is no session. */
  async stats(): Promise<RTCStatsReport | null> {
    return (await this.#now?.link.peer.getStats()) ?? null;
  }

  #join(): void {
    this.#end();
    this.#tell('connecting', null);
    this.#now = this.#begin();
  }

  #begin(): Session {
    const { peer, offer, described } = this.#prepared ?? prepare(this.options.iceServers);
    this.#prepared = null;
    const stream = new MediaStream();
    keepCushion(peer);
    const link = new MediaLink(peer, LIMITS, this.options.token ?? null, {
      connected: () => this.#connected(session),
      lost: (problem) => this.#lost(session, problem),
      askedAway: () => this.#move(session),
    });
    const session = { link, stream };
    peer.ontrack = (event) => {
      stream.addTrack(event.track);
      if (event.track.kind === 'video' && session === this.#now) this.#present(stream);
    };
    void offer.then(() => performance.mark('whep-post')).catch(() => undefined);
    void link.begin(this.options.url, offer, described);
    return session;
  }

  #present(stream: MediaStream): void {
    this.#shown = stream;
    this.options.onStream(stream);
  }

  #connected(session: Session): void {
    if (session === this.#next) return void this.#takeOver(session);
    if (session !== this.#now || this.state === 'watching') return;
    this.#later.clear();
    this.#failures.reset();
    this.#notLive.reset();
    this.#tell('watching', null);
  }

  #lost(session: Session, problem: Problem | null): void {
    if (session === this.#next) {
      this.#next = null;
      this.#later.in(this.#failures.next(), () => this.#now && this.#move(this.#now));
    } else if (session === this.#now && this.#next) {
      this.#now = this.#next;
      this.#next = null;
      this.#present(this.#now.stream);
      if (this.#now.link.isConnected) this.#connected(this.#now);
      else this.#tell('connecting', null);
    } else if (session === this.#now) {
      this.#again(problem);
    }
  }

  #move(from: Session): void {
    if (this.#running && from === this.#now && !this.#next) this.#next = this.#begin();
  }

  /** The new session's tracks take the place of the old ones in the stream that the page plays. */
  async #takeOver(session: Session): Promise<void> {
    await decodes(session.link.peer);
    const before = this.#now;
    if (session !== this.#next || !before) return;
    this.#now = session;
    this.#next = null;
    const shown = this.#shown;
    if (!shown) {
      this.#present(session.stream);
    } else {
      const replaced = shown.getTracks();
      for (const track of session.stream.getTracks()) shown.addTrack(track);
      for (const track of replaced) shown.removeTrack(track);
    }
    before.link.end();
    this.#failures.reset();
  }

  /** What was wrong decides when to ask again, and whether at all. */
  #again(problem: Problem | null): void {
    this.#end();
    if (!this.#running) return;
    if (problem?.status === 409) {
      this.#tell('waiting', problem);
      this.#later.in(Math.max(this.#notLive.next(), (problem.retryAfterS ?? 0) * 1000), () => this.#join());
    } else if (problem && [400, 401, 403, 404, 406, 415, 422].includes(problem.status)) {
      this.#tell('refused', problem);
    } else {
      this.#tell('retrying', problem);
      this.#later.in(this.#failures.next(), () => this.#join());
    }
  }

  #end(): void {
    this.#later.clear();
    this.#now?.link.end();
    this.#next?.link.end();
    this.#now = this.#next = this.#shown = null;
  }

  #tell(state: WatchState, problem: Problem | null): void {
    this.state = state;
    this.options.onState?.(state, problem);
  }

  readonly #hide = () => this.#end();
  readonly #show = (event: PageTransitionEvent) => {
    if (event.persisted && this.#running) this.#join();
  };
}

/** Resolves when the peer has decoded a frame, or after `SEEN_WITHIN_MS`. */
async function decodes(peer: RTCPeerConnection): Promise<void> {
  const until = Date.now() + SEEN_WITHIN_MS;
  while (Date.now() < until) {
    let frames = 0;
    (await peer.getStats()).forEach((entry) => {
      if (entry.type === 'inbound-rtp' && entry.kind === 'video') frames += entry.framesDecoded ?? 0;
    });
    if (frames > 0) return;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}
