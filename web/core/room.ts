/**
 * The connection to a room: hello, welcome, events, commands; over and over with the last offset when it breaks.
 *
 * Commands are promises: an `ack` resolves, a `refused` rejects with a Problem. A command that was not answered when
 * the connection broke is sent again with its id after the next welcome (the server answers a repeated id again and
 * does it once), until its deadline.
 */

import { ServerClock } from './clock.ts';
import { Later } from './later.ts';
import {
  CloseCode,
  PROTOCOL_VERSION,
  type Ack,
  type AnyCommand,
  type AnyEvent,
  type AnyServerFrame,
  type OrderView,
  type PlaceView,
  type Pulse,
  type Refused,
  type StandingView,
  type Welcome,
  type You,
} from './protocol.ts';
import { noAnswer, Problem } from './problem.ts';
import { applyAll, EMPTY_ROOM, fromSnapshot, type RoomState } from './room-state.ts';
import { commandId } from './uuidv7.ts';

export const ANSWER_DEADLINE_MS = 15_000;
/** The room pulses every five seconds at the latest. */
const SILENT_MS = 15_000;
const WAITING_MOST = 50;
const ABANDONED = 4001;
const FIRST_DELAY_MS = 400;
const MOST_DELAY_MS = 12_000;

export type RoomStatus = 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface RoomListener {
  /** The state after a batch of events (none after a snapshot). At most once an animation frame. */
  onState?(state: RoomState, events: readonly AnyEvent[]): void;
  onStatus?(status: RoomStatus, closeCode: number | null): void;
  onYou?(you: You): void;
  onPulse?(pulse: Pulse): void;
  onOrder?(order: OrderView): void;
  /** For this person alone: their place on a waitlist, where they stand in an auction. */
  onPlace?(place: PlaceView): void;
  onStanding?(standing: StandingView): void;
}

export interface RoomOptions {
  url: string;
  showId: string;
  /** A fresh single-use ticket for each connection; null for a guest. */
  ticket: () => Promise<string | null>;
  connect?: (url: string) => WebSocket;
  now?: () => number;
  random?: () => number;
  /** Runs work before the next frame is painted; tests run it at once. */
  schedule?: (work: () => void) => void;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type CommandWish = DistributiveOmit<AnyCommand, 'id'>;

interface Waiting {
  command: AnyCommand;
  resolve: (ack: Ack) => void;
  reject: (problem: Problem) => void;
  deadline: ReturnType<typeof setTimeout>;
}

const FLUSH_EVERY_MS = 66;

/**
 * Before the next paint, or soon where nothing is painted (a hidden tab); under load no more than 15 times a second,
 * which nobody sees and which halves the work.
 */
function frameSchedule(): (work: () => void) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (work) => {
    let done = false;
    const once = () => {
      if (done) return;
      done = true;
      last = performance.now();
      work();
    };
    const wait = last + FLUSH_EVERY_MS - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(once), wait);
    else requestAnimationFrame(once);
    setTimeout(once, 250);
  };
}

export class RoomConnection {
  readonly clock: ServerClock;
  state: RoomState = EMPTY_ROOM;
  status: RoomStatus = 'connecting';
  you: You | null = null;

  #socket: WebSocket | null = null;
  #welcomed = false;
  #attempt = 0;
  #refusedTickets = 0;
  #retry: ReturnType<typeof setTimeout> | null = null;
  readonly #silence = new Later();
  #waiting = new Map<string, Waiting>();
  #gathered: AnyEvent[] = [];
  #flushing = false;
  #running = false;
  readonly #listeners = new Set<RoomListener>();
  readonly #now: () => number;
  readonly #schedule: (work: () => void) => void;

  constructor(private readonly options: RoomOptions) {
    this.#now = options.now ?? Date.now;
    this.#schedule = options.schedule ?? frameSchedule();
    this.clock = new ServerClock(this.#now);
  }

  listen(listener: RoomListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    globalThis.addEventListener?.('online', this.#hurry);
    void this.#open();
  }

  /** Leaves for good; what was waiting is refused. */
  stop(): void {
    this.#running = false;
    globalThis.removeEventListener?.('online', this.#hurry);
    this.#drop();
    this.#refuseAll(noAnswer());
  }

  /** Connects anew with a fresh ticket, keeping state and place: after signing in or out. */
  renew(): void {
    this.#attempt = 0;
    this.#refusedTickets = 0;
    this.#drop();
    this.#running = true;
    void this.#open();
  }

  /** Sends a command; resolves with its ack. Rejects with Problem: a refusal's code, or `no_answer`. */
  send(wish: CommandWish, id: string = commandId(), deadlineMs = ANSWER_DEADLINE_MS): Promise<Ack> {
    const command = { ...wish, id } as AnyCommand;
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= WAITING_MOST) return reject(tooMany());
      const deadline = setTimeout(() => this.#overdue(id), deadlineMs);
      this.#waiting.set(id, { command, resolve, reject, deadline });
      if (this.#welcomed) this.#write(command);
    });
  }

  /** What a viewer may lose: sent if the room is open now, never repeated. */
  sendLightly(wish: CommandWish): void {
    if (this.#welcomed) this.#write({ ...wish, id: commandId() } as AnyCommand);
  }

  may(type: AnyCommand['type']): boolean {
    return this.you?.may.includes(type) ?? false;
  }

  // --- connecting ---------------------------------------------------------------------------------------------

  async #open(): Promise<void> {
    this.#setStatus(this.state.offset ? 'reconnecting' : 'connecting');
    const attempt = {};
    this.#opening = attempt;
    let ticket: string | null;
    try {
      ticket = await this.options.ticket();
    } catch {
      if (this.#opening === attempt && this.#running) this.#later();
      return;
    }
    if (this.#opening !== attempt || !this.#running) return;
    const socket = (this.options.connect ?? ((url) => new WebSocket(url)))(this.options.url);
    this.#socket = socket;
    this.#expectMore();
    let askedAt = 0;
    socket.onopen = () => {
      askedAt = this.#now();
      const hello = {
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        show_id: this.options.showId,
        ticket,
        resume: this.state.offset,
      };
      socket.send(JSON.stringify(hello));
    };
    socket.onmessage = (message) => {
      if (socket !== this.#socket) return;
      const frame = JSON.parse(String(message.data)) as AnyServerFrame;
      if (frame.type === 'welcome') this.#silence.clear();
      else if (frame.type === 'pulse' || this.#silence.isDue) this.#expectMore();
      this.#hear(frame, askedAt);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }
  #opening: object | null = null;

  /** From the first pulse on, and until the welcome. */
  #expectMore(): void {
    this.#silence.in(SILENT_MS, () => this.#abandon());
  }

  /** Takes the connection for dead at once: a close that nobody answers would take the browser a minute. */
  #abandon(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#closed(ABANDONED);
    socket.close(ABANDONED);
  }

  #closed(code: number): void {
    this.#silence.clear();
    this.#socket = null;
    this.#welcomed = false;
    this.#flush();
    if (!this.#running) return;
    // One spent or expired ticket is an accident; two in a row are an answer.
    const retryTicket = code === CloseCode.NOT_ADMITTED && ++this.#refusedTickets < 2;
    if (code >= 4400 && code < 4500 && !retryTicket) {
      this.#running = false;
      this.#setStatus('closed', code);
      this.#refuseAll(closedProblem(code));
      return;
    }
    this.#later();
  }

  #later(): void {
    this.#setStatus('reconnecting');
    const ceiling = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempt++);
    // Full jitter: when a process dies, its viewers do not come back all at once.
    const delay = ceiling * (0.25 + 0.75 * (this.options.random ?? Math.random)());
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#open(), delay);
  }

  readonly #hurry = () => {
    if (!this.#retry || !this.#running || this.#socket) return;
    clearTimeout(this.#retry);
    this.#attempt = 0;
    void this.#open();
  };

  #drop(): void {
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = null;
    this.#opening = null;
    this.#silence.clear();
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = false;
    socket?.close(1000);
  }

  #setStatus(status: RoomStatus, closeCode: number | null = null): void {
    if (status === this.status && closeCode === null) return;
    this.status = status;
    for (const listener of this.#listeners) listener.onStatus?.(status, closeCode);
  }

  // --- hearing ------------------------------------------------------------------------------------------------

  #hear(frame: AnyServerFrame, askedAt: number): void {
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame, askedAt);
      case 'events':
        return this.#gather(frame.epoch, frame.events);
      case 'reset':
        this.#gathered = [];
        this.state = fromSnapshot(frame.snapshot, this.state);
        return this.#tellState([]);
      case 'pulse':
        for (const listener of this.#listeners) listener.onPulse?.(frame);
        return;
      case 'ack':
        this.#take(frame.id)?.resolve(frame);
        return;
      case 'refused':
        if (frame.id) this.#take(frame.id)?.reject(refusal(frame));
        return;
      case 'personal':
        for (const listener of this.#listeners) listener.onOrder?.(frame.order);
        return;
      case 'waitlist':
        for (const listener of this.#listeners) listener.onPlace?.(frame.place);
        return;
      case 'standing':
        for (const listener of this.#listeners) listener.onStanding?.(frame.standing);
        return;
    }
  }

  #welcome(frame: Welcome, askedAt: number): void {
    this.clock.sample(frame.now_ms, askedAt, this.#now());
    this.#attempt = 0;
    this.#refusedTickets = 0;
    this.#welcomed = true;
    this.you = frame.you;
    if (frame.snapshot) {
      this.#gathered = [];
      this.state = fromSnapshot(frame.snapshot, this.state);
      this.#tellState([]);
    }
    for (const listener of this.#listeners) listener.onYou?.(frame.you);
    this.#setStatus('open');
    for (const { command } of this.#waiting.values()) this.#write(command);
  }

  #epoch = '';

  #gather(epoch: string, events: readonly AnyEvent[]): void {
    if (epoch !== this.#epoch) this.#flush();
    this.#epoch = epoch;
    this.#gathered.push(...events);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#schedule(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    const events = this.#gathered;
    if (events.length === 0) return;
    this.#gathered = [];
    const before = this.state;
    try {
      this.state = applyAll(before, this.#epoch, events);
    } catch {
      // A hole in the numbering: what is missing comes by resuming.
      this.#socket?.close(4000);
      return;
    }
    if (this.state !== before) this.#tellState(events.filter((event) => event.n > (before.offset?.number ?? 0)));
  }

  #tellState(events: readonly AnyEvent[]): void {
    for (const listener of this.#listeners) listener.onState?.(this.state, events);
  }

  // --- commands -----------------------------------------------------------------------------------------------

  #write(command: AnyCommand): void {
    this.#socket?.send(JSON.stringify(command));
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting) clearTimeout(waiting.deadline);
    this.#waiting.delete(id);
    return waiting;
  }

  #overdue(id: string): void {
    this.#take(id)?.reject(noAnswer());
    this.#abandon(); // a socket that swallows commands is no connection
  }

  #refuseAll(problem: Problem): void {
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(problem);
  }
}

function refusal(frame: Refused): Problem {
  return new Problem({
    code: frame.code,
    detail: frame.reason,
    ...(frame.retry_after_ms != null ? { retry_after_s: frame.retry_after_ms / 1000 } : {}),
    lines: frame.lines ?? [],
  });
}

function tooMany(): Problem {
  return new Problem({ code: 'busy', detail: 'Too much is waiting to be sent.', what_to_do: 'Try again in a moment.' });
}

function closedProblem(code: number): Problem {
  if (code === CloseCode.REVOKED)
    return new Problem({ code: 'revoked', detail: 'You were signed out.', what_to_do: 'Sign in again.' });
  return new Problem({ code: 'room_closed', detail: 'The room is closed.', what_to_do: 'Reload the page.' });
}
