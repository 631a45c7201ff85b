/**
 * Publishes a camera or screen by WHIP.
 *
 * H.264 preferred, then VP8; up to three simulcast layers (rid q, h, f); bitrates capped. The peer that fails is
 * replaced, with the same key: the node lets it take over the session left behind. A node that is about to stop asks
 * us to move: we publish to another one and leave the old one a moment later, when viewers have followed.
 */

import { Later } from './later.ts';
import { MediaLink } from './media-link.ts';
import { Backoff, preferCodecs } from './media.ts';
import { Problem } from './problem.ts';
import { readStats, type Counted, type PublishStats } from './publish-stats.ts';

export type PublishState = 'idle' | 'connecting' | 'live' | 'retrying' | 'refused';

export interface WhipOptions {
  /** The public address and its bearer: a publish token or a stream key. */
  url: string;
  token: string;
  iceServers?: RTCIceServer[];
  simulcast?: boolean;
  maxBitrateKbps?: number;
  onState?: (state: PublishState, problem: Problem | null) => void;
}

export type { PublishStats } from './publish-stats.ts';

const LIMITS = { postMs: 10_000, connectMs: 12_000, disconnectedMs: 5_000 };
/** The old node goes on carrying while the others turn to the new one. */
const OVERLAP_MS = 1_500;
const DEFAULT_KBPS = 2_500;

/** Largest first is what Chromium wants for H.264; the rid names tell q(uarter), h(alf), f(ull). */
export function encodings(simulcast: boolean, maxBitrateKbps: number): RTCRtpEncodingParameters[] {
  const full = { maxBitrate: maxBitrateKbps * 1000, maxFramerate: 30 };
  if (!simulcast) return [full];
  return [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: Math.round(maxBitrateKbps * 80), maxFramerate: 30 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: Math.round(maxBitrateKbps * 280), maxFramerate: 30 },
    { rid: 'f', scaleResolutionDownBy: 1, ...full },
  ];
}

export class WhipPublisher {
  state: PublishState = 'idle';
  #stream: MediaStream | null = null;
  #now: MediaLink | null = null;
  /** Begun beside `#now`, to take its place. */
  #next: MediaLink | null = null;
  /** Left in a moment. */
  #old: MediaLink | null = null;
  readonly #later = new Later();
  #last: Counted | null = null;
  readonly #failures = new Backoff(700, 10_000);

  constructor(private readonly options: WhipOptions) {}

  start(stream: MediaStream): void {
    this.#stream = stream;
    globalThis.addEventListener?.('pagehide', this.#hide);
    this.#publish();
  }

  stop(): void {
    this.#stream = null;
    globalThis.removeEventListener?.('pagehide', this.#hide);
    this.#end();
    this.#tell('idle', null);
  }

  /** Another camera, microphone or screen without a new session. */
  async replace(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    const senders = [this.#now, this.#next].flatMap((link) => link?.peer.getSenders().map((sender, index) => ({ sender, index })) ?? []);
    await Promise.all(
      senders.map(({ sender, index }) => {
        const kind = sender.track?.kind ?? (index === 0 ? 'video' : 'audio');
        const track = stream.getTracks().find((candidate) => candidate.kind === kind) ?? null;
        return sender.replaceTrack(track);
      }),
    );
  }

  async stats(): Promise<PublishStats | null> {
    const report = await this.#now?.peer.getStats();
    if (!report) return null;
    const { stats, counted } = readStats(report, this.#last, performance.now());
    this.#last = counted;
    return stats;
  }

  #publish(): void {
    this.#end();
    if (!this.#stream) return;
    this.#tell('connecting', null);
    this.#now = this.#begin(this.#stream);
  }

  #begin(stream: MediaStream): MediaLink {
    const peer = new RTCPeerConnection({ iceServers: this.options.iceServers ?? [], bundlePolicy: 'max-bundle' });
    this.#prepare(peer, stream);
    const offer = peer.createOffer();
    const described = offer.then((made) => peer.setLocalDescription(made));
    described.catch(() => undefined);
    const link = new MediaLink(peer, LIMITS, this.options.token, {
      connected: () => this.#connected(link),
      lost: (problem) => this.#lost(link, problem),
      askedAway: () => this.#move(link),
      displaced: takenOver,
    });
    const sdp = offer.then((made) => made.sdp!);
    sdp.catch(() => undefined);
    void link.begin(this.options.url, sdp, described);
    return link;
  }

  #prepare(peer: RTCPeerConnection, stream: MediaStream): void {
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    const { simulcast = false, maxBitrateKbps = DEFAULT_KBPS } = this.options;
    const sender = peer.addTransceiver(video ?? 'video', {
      direction: 'sendonly',
      streams: [stream],
      sendEncodings: encodings(simulcast, maxBitrateKbps),
    });
    peer.addTransceiver(audio ?? 'audio', { direction: 'sendonly', streams: [stream] });
    preferCodecs(sender, globalThis.RTCRtpSender?.getCapabilities?.('video') ?? null);
  }

  #connected(link: MediaLink): void {
    if (link === this.#next) return this.#takeOver(link);
    if (link !== this.#now || this.state === 'live') return;
    this.#later.clear();
    this.#failures.reset();
    this.#tell('live', null);
  }

  #move(from: MediaLink): void {
    if (this.#stream && from === this.#now && !this.#next) this.#next = this.#begin(this.#stream);
  }

  #takeOver(link: MediaLink): void {
    const before = (this.#old = this.#now);
    this.#now = link;
    this.#next = this.#last = null;
    this.#failures.reset();
    setTimeout(() => before?.end(), OVERLAP_MS);
  }

  #lost(link: MediaLink, problem: Problem | null): void {
    if (link === this.#next) {
      this.#next = null;
      this.#later.in(this.#failures.next(), () => this.#now && this.#move(this.#now));
    } else if (link === this.#now && this.#next) {
      this.#now = this.#next;
      this.#next = null;
      this.#tell('connecting', null);
    } else if (link === this.#now) {
      this.#again(problem);
    }
  }

  #again(problem: Problem | null): void {
    this.#end();
    if (!this.#stream) return;
    if (problem && problem.status >= 400 && problem.status < 500) {
      this.#tell('refused', problem);
    } else {
      this.#tell('retrying', problem);
      this.#later.in(this.#failures.next(), () => this.#publish());
    }
  }

  #end(): void {
    this.#later.clear();
    this.#now?.end();
    this.#next?.end();
    this.#old?.end();
    this.#now = this.#next = this.#old = this.#last = null;
  }

  #tell(state: PublishState, problem: Problem | null): void {
    this.state = state;
    this.options.onState?.(state, problem);
  }

  readonly #hide = () => this.#end();
}

function takenOver(): Problem {
  return new Problem({
    status: 409,
    code: 'taken_over',
    detail: 'The picture comes from another window or device of yours now.',
    what_to_do: 'To send it from here again, try again.',
  });
}
