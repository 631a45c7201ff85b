/** Going on air: a publish ticket, the WHIP session behind it, and how it does. */

import { computed, effect, signal } from '@preact/signals';
import { api } from '../core/api.ts';
import { asProblem, Problem } from '../core/problem.ts';
import { WhipPublisher, type PublishState, type PublishStats, type WhipOptions } from '../core/whip.ts';
import type { DeskStore } from '../ui/desk/store.ts';
import { config } from '../ui/session.ts';
import type { Capture } from './capture.ts';
import { verdictOf } from './uplink.ts';

const HISTORY_S = 60;
/** Below that a smaller layer would help nobody. */
const LAYERED_FROM_HEIGHT = 720;

type Publisher = Pick<WhipPublisher, 'start' | 'stop' | 'replace' | 'stats'>;

export class Sender {
  readonly state = signal<PublishState>('idle');
  readonly problem = signal<Problem | null>(null);
  readonly history = signal<readonly PublishStats[]>([]);
  /** From the click until the session's first answer. */
  readonly starting = signal(false);

  readonly latest = computed(() => this.history.value.at(-1) ?? null);
  readonly verdict = computed(() => verdictOf(this.history.value, this.capture.quality.value.height));
  readonly sending = computed(() => this.starting.value || this.state.value === 'live' || this.state.value === 'connecting' || this.state.value === 'retrying');

  #publisher: Publisher | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #unfollow: (() => void) | null = null;

  constructor(
    private readonly desk: Pick<DeskStore, 'state' | 'startShow' | 'options'>,
    private readonly capture: Pick<Capture, 'stream' | 'video' | 'quality'>,
    private readonly publisherOf: (options: WhipOptions) => Publisher = (options) => new WhipPublisher(options),
  ) {}

  /** Sends the picture; the show starts with the first frame that arrives. */
  async goLive(): Promise<void> {
    if (this.sending.value) return;
    this.problem.value = null;
    this.history.value = [];
    const stream = this.capture.stream.value;
    if (!stream || !this.capture.video.value) return this.#refuse(noPicture());
    this.starting.value = true;
    try {
      const { url, token } = await api.publishTicket(this.desk.options.showId);
      this.#publisher = this.publisherOf({
        url,
        token,
        iceServers: config.value?.ice_servers ?? [],
        maxBitrateKbps: this.capture.quality.value.kbps,
        simulcast: this.capture.quality.value.height >= LAYERED_FROM_HEIGHT,
        // What is said while it is being dropped is no news.
        onState: (state, problem) => this.#publisher && this.#onState(state, problem),
      });
      this.#publisher.start(stream);
      this.#follow();
    } catch (error) {
      this.#refuse(asProblem(error));
    } finally {
      this.starting.value = false;
    }
  }

  /** Takes the picture away; the show goes on, viewers see "back in a moment". */
  stop(): void {
    this.#drop();
    this.state.value = 'idle';
    this.problem.value = null;
  }

  #onState(state: PublishState, problem: Problem | null): void {
    this.state.value = state;
    this.problem.value = problem?.code === 'publisher_present' ? somebodyElse() : problem;
    if (state === 'live' && this.desk.state.value === 'scheduled') void this.desk.startShow();
    if (state !== 'live') this.history.value = [];
    if (state === 'refused') this.#drop();
  }

  #refuse(problem: Problem): void {
    this.problem.value = problem;
    this.state.value = 'refused';
  }

  /** Another camera or screen goes on in the same session; its numbers are read each second. */
  #follow(): void {
    const publisher = this.#publisher!;
    let first = true;
    this.#unfollow = effect(() => {
      const stream = this.capture.stream.value;
      if (!first && stream) void publisher.replace(stream);
      first = false;
    });
    this.#timer = setInterval(async () => {
      if (this.state.value !== 'live') return;
      const stats = await publisher.stats();
      if (stats && this.#publisher === publisher) this.history.value = [...this.history.value, stats].slice(-HISTORY_S);
    }, 1000);
  }

  #drop(): void {
    this.#unfollow?.();
    if (this.#timer) clearInterval(this.#timer);
    const publisher = this.#publisher;
    this.#unfollow = this.#timer = this.#publisher = null;
    publisher?.stop();
    this.history.value = [];
  }
}

function somebodyElse(): Problem {
  return new Problem({
    status: 409,
    code: 'publisher_present',
    detail: 'This show already has a picture.',
    what_to_do: 'Another host or an encoder is sending it. Stop it there, then try again.',
  });
}

function noPicture(): Problem {
  return new Problem({ code: 'no_picture', detail: 'There is no picture to send.', what_to_do: 'Choose a camera or share a screen first.' });
}
