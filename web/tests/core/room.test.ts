import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AnyServerFrame, Hello, Snapshot } from '../../core/protocol.ts';
import { RoomConnection, type RoomStatus } from '../../core/room.ts';

const SNAPSHOT: Snapshot = {
  offset: { epoch: 'e', number: 3 },
  show_state: 'live',
  picture: 'live',
  pin: null,
  comments: [],
  stock: {},
  muted: {},
};
const YOU = { user_id: 'u', name: 'Ana', roles: [], may: ['say', 'react', 'buy'] };

class Socket {
  static made: Socket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed: number | null = null;
  constructor() {
    Socket.made.push(this);
  }
  static get last(): Socket {
    return Socket.made.at(-1)!;
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close(code: number) {
    this.closed = code;
    queueMicrotask(() => this.onclose?.({ code }));
  }
  hear(frame: AnyServerFrame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  welcome(snapshot: Snapshot | null = SNAPSHOT) {
    this.onopen?.();
    this.hear({ type: 'welcome', protocol: 1, you: YOU, now_ms: 5_000_000, offset: SNAPSHOT.offset, snapshot });
  }
  get hello() {
    return this.sent[0] as unknown as Hello;
  }
}

let now = 1_000_000;
let tickets = 0;
const statuses: [RoomStatus, number | null][] = [];

function room(): RoomConnection {
  const connection = new RoomConnection({
    url: 'ws://room.test',
    showId: 's1',
    ticket: async () => `t${++tickets}`,
    connect: () => new Socket() as unknown as WebSocket,
    now: () => now,
    random: () => 1,
    schedule: (work) => work(),
  });
  connection.listen({ onStatus: (status, code) => statuses.push([status, code]) });
  return connection;
}

const settle = () => vi.advanceTimersByTimeAsync(0);

async function opened(): Promise<RoomConnection> {
  const connection = room();
  connection.start();
  await settle();
  Socket.last.welcome();
  return connection;
}

beforeEach(() => {
  vi.useFakeTimers();
  Socket.made = [];
  statuses.length = 0;
  tickets = 0;
});
afterEach(() => vi.useRealTimers());

describe('the room connection', () => {
  it('says hello with a ticket and starts from the snapshot', async () => {
    const connection = await opened();
    expect(Socket.last.hello).toMatchObject({ type: 'hello', protocol: 1, show_id: 's1', ticket: 't1', resume: null });
    expect(connection.state.show_state).toBe('live');
    expect(connection.may('buy')).toBe(true);
    expect(connection.may('pin')).toBe(false);
    expect(connection.clock.serverNow()).toBe(5_000_000);
    expect(statuses.at(-1)).toEqual(['open', null]);
  });

  it('comes back with a fresh ticket and its last offset, and applies what it missed', async () => {
    const connection = await opened();
    Socket.last.hear({ type: 'events', epoch: 'e', events: [{ type: 'show_started', n: 4, at_ms: 0 }] });
    Socket.last.onclose?.({ code: 1006 });
    expect(connection.status).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(400);
    expect(Socket.made).toHaveLength(2);
    Socket.last.welcome(null);
    expect(Socket.last.hello).toMatchObject({ ticket: 't2', resume: { epoch: 'e', number: 4 } });
    Socket.last.hear({ type: 'events', epoch: 'e', events: [{ type: 'show_ended', n: 5, at_ms: 0 }] });
    expect(connection.state.show_state).toBe('ended');
    expect(connection.state.offset).toEqual({ epoch: 'e', number: 5 });
  });

  it('connects anew when it has heard nothing for longer than the room is ever silent', async () => {
    const connection = await opened();
    await vi.advanceTimersByTimeAsync(14_000);
    Socket.last.hear({ type: 'pulse', viewers: 1, reactions: {} });
    await vi.advanceTimersByTimeAsync(14_000);
    expect([connection.status, Socket.made.length]).toEqual(['open', 1]);
    const silent = Socket.last;
    silent.close = (code: number) => void (silent.closed = code); // and nobody answers that either
    await vi.advanceTimersByTimeAsync(1_500);
    expect([silent.closed, Socket.made.length]).toEqual([4001, 2]);
    Socket.last.welcome(null);
    expect(connection.status).toBe('open');
  });

  it('waits longer each time, up to a bound', async () => {
    const connection = room();
    connection.start();
    await settle();
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      const count = Socket.made.length;
      Socket.last.onclose?.({ code: 1006 });
      let waited = 0;
      while (Socket.made.length === count && waited < 20_000) {
        await vi.advanceTimersByTimeAsync(200);
        waited += 200;
      }
      waits.push(waited);
    }
    expect(waits.slice(0, 4)).toEqual([400, 800, 1600, 3200]);
    expect(waits.at(-1)).toBe(12_000);
    connection.stop();
  });

  it('starts over from a reset', async () => {
    const connection = await opened();
    Socket.last.hear({ type: 'reset', snapshot: { ...SNAPSHOT, offset: { epoch: 'f', number: 0 }, show_state: 'ended' } });
    Socket.last.hear({ type: 'events', epoch: 'f', events: [{ type: 'show_started', n: 1, at_ms: 0 }] });
    expect(connection.state.offset).toEqual({ epoch: 'f', number: 1 });
    expect(connection.state.show_state).toBe('live');
  });

  it('reconnects when a number is missing', async () => {
    const connection = await opened();
    Socket.last.hear({ type: 'events', epoch: 'e', events: [{ type: 'show_ended', n: 6, at_ms: 0 }] });
    await vi.advanceTimersByTimeAsync(400);
    expect(Socket.made).toHaveLength(2);
    Socket.last.onopen?.();
    expect(Socket.last.hello.resume).toEqual({ epoch: 'e', number: 3 });
    connection.stop();
  });

  it('resolves commands by ack and rejects them with the refusal', async () => {
    const connection = await opened();
    const accepted = connection.send({ type: 'say', text: 'hi' }, 'one');
    const refused = connection.send({ type: 'say', text: 'hi' }, 'two');
    Socket.last.hear({ type: 'ack', id: 'one', n: 4 });
    Socket.last.hear({ type: 'refused', id: 'two', code: 'muted', reason: 'You are muted.', retry_after_ms: 2000 });
    await expect(accepted).resolves.toMatchObject({ n: 4 });
    await expect(refused).rejects.toMatchObject({ code: 'muted', message: 'You are muted.', retryAfterS: 2 });
  });

  it('sends an unanswered command again, with its id, after the connection broke', async () => {
    const connection = await opened();
    const answer = connection.send({ type: 'say', text: 'hi' }, 'one');
    Socket.last.onclose?.({ code: 4509 });
    await vi.advanceTimersByTimeAsync(400);
    Socket.last.welcome(null);
    expect(Socket.last.sent[1]).toMatchObject({ type: 'say', id: 'one', text: 'hi' });
    Socket.last.hear({ type: 'ack', id: 'one' });
    await answer;
  });

  it('gives up on a command that is never answered, and on the connection that swallowed it', async () => {
    const connection = await opened();
    const answer = expect(connection.send({ type: 'say', text: 'hi' })).rejects.toMatchObject({ code: 'no_answer' });
    await vi.advanceTimersByTimeAsync(15_000);
    await answer;
    expect(Socket.made[0]!.closed).toBe(4001);
  });

  it('does not come back after a close that says so', async () => {
    const connection = await opened();
    Socket.last.onclose?.({ code: 4403 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Socket.made).toHaveLength(1);
    expect(statuses.at(-1)).toEqual(['closed', 4403]);
    connection.renew();
    await settle();
    expect(Socket.made).toHaveLength(2);
  });

  it('tries one more ticket when one was spent, not two', async () => {
    const connection = room();
    connection.start();
    await settle();
    Socket.last.onclose?.({ code: 4401 });
    await vi.advanceTimersByTimeAsync(500);
    expect(Socket.made).toHaveLength(2);
    Socket.last.onclose?.({ code: 4401 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Socket.made).toHaveLength(2);
    expect(connection.status).toBe('closed');
  });
});
