import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { prepare, WhepPlayer, type WatchState } from '../../core/whep.ts';
import { WhipPublisher } from '../../core/whip.ts';

class Peer {
  static made: Peer[] = [];
  connectionState = 'new';
  onconnectionstatechange: (() => void) | null = null;
  ontrack: ((event: { track: { kind: string } }) => void) | null = null;
  decoded = 0;
  received = 0;
  rate = 1000;
  senders = [{ track: { kind: 'video' }, replaceTrack: vi.fn() }];
  closed = false;
  remote: string | null = null;
  transceivers: { kind: string; init: RTCRtpTransceiverInit }[] = [];
  constructor() {
    Peer.made.push(this);
  }
  static get last(): Peer {
    return Peer.made.at(-1)!;
  }
  addTransceiver(kind: string | { kind: string }, init: RTCRtpTransceiverInit) {
    this.transceivers.push({ kind: typeof kind === 'string' ? kind : kind.kind, init });
    return {};
  }
  async createOffer() {
    return { type: 'offer', sdp: 'v=0 offer' };
  }
  async setLocalDescription() {}
  async setRemoteDescription({ sdp }: { sdp: string }) {
    this.remote = sdp;
  }
  getSenders() {
    return this.senders;
  }
  async getStats() {
    return new Map<string, object>([
      ['v', { type: 'inbound-rtp', kind: 'video', framesDecoded: this.decoded }],
      ['t', { type: 'transport', bytesReceived: (this.received += this.rate) }],
    ]);
  }
  close() {
    this.closed = true;
  }
  become(state: string) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

class Stream {
  tracks: object[] = [];
  addTrack(track: object) {
    this.tracks.push(track);
  }
  removeTrack(track: object) {
    this.tracks = this.tracks.filter((held) => held !== track);
  }
  getTracks() {
    return [...this.tracks];
  }
}

class Events {
  static made: Events[] = [];
  closed = false;
  #listeners: Record<string, (event: { data: string }) => void> = {};
  constructor(readonly url: string) {
    Events.made.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string }) => void) {
    this.#listeners[name] = listener;
  }
  say(name: string, data = '{}') {
    this.#listeners[name]?.({ data });
  }
  close() {
    this.closed = true;
  }
}

interface Call {
  url: string;
  method: string;
  headers: Record<string, string>;
}
const calls: Call[] = [];
let answer: () => Response;
const states: WatchState[] = [];

const created = () => new Response('v=0 answer', { status: 201, headers: { location: '/whep/session/7' } });
const refused = (status: number, body: object = {}) => () => new Response(JSON.stringify(body), { status });
const posts = () => calls.filter((call) => call.method === 'POST').length;
const settle = () => vi.advanceTimersByTimeAsync(0);

function player(): WhepPlayer {
  return new WhepPlayer({ url: '/whep/p1', token: 'pass', onStream: () => undefined, onState: (state) => states.push(state) });
}

beforeEach(() => {
  vi.useFakeTimers();
  Peer.made = [];
  Events.made = [];
  calls.length = states.length = 0;
  answer = created;
  vi.stubGlobal('RTCPeerConnection', Peer);
  vi.stubGlobal('MediaStream', Stream);
  vi.stubGlobal('EventSource', Events);
  vi.stubGlobal('location', { href: 'http://shop.test/shows/1' });
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    calls.push({ url, method: init.method!, headers: init.headers as Record<string, string> });
    return init.method === 'DELETE' ? new Response(null, { status: 200 }) : answer();
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('watching', () => {
  it('posts its offer at once and takes the answer', async () => {
    const watching = player();
    watching.start();
    await settle();
    expect(calls[0]).toMatchObject({ url: '/whep/p1', method: 'POST' });
    expect(calls[0]!.headers).toMatchObject({ 'Content-Type': 'application/sdp', Authorization: 'Bearer pass' });
    expect(Peer.last.remote).toBe('v=0 answer');
    Peer.last.become('connected');
    expect(states).toEqual(['connecting', 'watching']);
  });

  it('uses a peer that was made ahead, once', async () => {
    const prepared = prepare();
    const watching = new WhepPlayer({ url: '/whep/p1', prepared, onStream: () => undefined });
    watching.start();
    await settle();
    expect(Peer.made).toHaveLength(1);
    Peer.last.become('failed');
    await vi.advanceTimersByTimeAsync(600);
    expect(Peer.made).toHaveLength(2);
    expect(Peer.last.remote).toBe('v=0 answer');
  });

  it('leaves by DELETE at the resource it was given', async () => {
    const watching = player();
    watching.start();
    await settle();
    watching.stop();
    expect(calls.at(-1)).toMatchObject({ method: 'DELETE', url: 'http://shop.test/whep/session/7' });
    expect(Peer.last.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(posts()).toBe(1);
  });

  it('waits while nothing is on air, and asks at once when told', async () => {
    answer = refused(409, { code: 'not_live' });
    const watching = player();
    watching.start();
    await settle();
    expect(states.at(-1)).toBe('waiting');
    answer = created;
    watching.hurry();
    await settle();
    expect(Peer.last.remote).toBe('v=0 answer');
  });

  it('joins anew when the peer fails, and only then', async () => {
    const watching = player();
    watching.start();
    await settle();
    Peer.last.become('connected');
    Peer.last.become('disconnected');
    Peer.last.become('connected');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(posts()).toBe(1);
    Peer.last.become('failed');
    expect(states.at(-1)).toBe('retrying');
    await vi.advanceTimersByTimeAsync(600);
    expect(posts()).toBe(2);
    expect(Peer.made[0]!.closed).toBe(true);
  });

  it('gives a peer that never connects a bounded time', async () => {
    player().start();
    await vi.advanceTimersByTimeAsync(11_000);
    expect(posts()).toBe(2);
  });

  it('does not knock again at a door that is closed for it', async () => {
    answer = refused(401, { code: 'pass_needed', detail: 'This show needs a pass.' });
    const watching = player();
    watching.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states.at(-1)).toBe('refused');
    expect(posts()).toBe(1);
  });

  it('comes back to the public address when the node it was sent to is not there', async () => {
    answer = () => {
      throw new TypeError('Failed to fetch');
    };
    player().start();
    await settle();
    expect(states.at(-1)).toBe('retrying');
    answer = created;
    await vi.advanceTimersByTimeAsync(600);
    expect(calls.filter(({ method }) => method === 'POST').map(({ url }) => url)).toEqual(['/whep/p1', '/whep/p1']);
    expect(Peer.last.remote).toBe('v=0 answer');
  });

  it('comes back when the relay is away for a while', async () => {
    answer = refused(503);
    player().start();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(posts()).toBeGreaterThan(1);
    answer = created;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(Peer.last.remote).toBe('v=0 answer');
  });
});

describe('moving to another node', () => {
  const shown: Stream[] = [];
  async function watched(): Promise<WhepPlayer> {
    shown.length = 0;
    const onStream = (stream: MediaStream) => shown.push(stream as unknown as Stream);
    const watching = new WhepPlayer({ url: '/whep/p1', onStream, onState: (state) => states.push(state) });
    watching.start();
    await settle();
    Peer.last.ontrack!({ track: { kind: 'video' } });
    Peer.last.become('connected');
    return watching;
  }

  it('listens for it where its session is', async () => {
    const watching = await watched();
    expect(Events.made.map(({ url }) => url)).toEqual(['http://shop.test/whep/session/7/sse?events=reconnect']);
    watching.stop();
    expect(Events.made[0]!.closed).toBe(true);
  });

  it('keeps the old picture until the new session has decoded a frame', async () => {
    await watched();
    const [old] = Peer.made;
    Events.made[0]!.say('reconnect');
    Events.made[0]!.say('reconnect');
    await settle();
    expect(Peer.made).toHaveLength(2);
    const track = { kind: 'video' };
    Peer.last.ontrack!({ track });
    Peer.last.become('connected');
    await vi.advanceTimersByTimeAsync(200);
    expect(old!.closed).toBe(false);
    expect(shown[0]!.tracks).toHaveLength(1);
    Peer.last.decoded = 1;
    await vi.advanceTimersByTimeAsync(100);
    expect(old!.closed).toBe(true);
    expect(shown).toHaveLength(1);
    expect(shown[0]!.tracks).toEqual([track]);
    expect(states).toEqual(['connecting', 'watching']);
    expect(calls.at(-1)!.method).toBe('DELETE');
  });

  it('tries again while the new one does not come about, and the old one plays on', async () => {
    await watched();
    answer = refused(503);
    Events.made[0]!.say('reconnect');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(posts()).toBeGreaterThan(2);
    expect(Peer.made[0]!.closed).toBe(false);
    expect(states.at(-1)).toBe('watching');
    answer = created;
    await vi.advanceTimersByTimeAsync(5_000);
    Peer.last.become('connected');
    await vi.advanceTimersByTimeAsync(9_000);
    expect(Peer.made[0]!.closed).toBe(false); // it has decoded nothing yet
    await vi.advanceTimersByTimeAsync(2_000);
    expect(Peer.made[0]!.closed).toBe(true);
  });

  it('shows the new session at once when the old one is closed on the way', async () => {
    await watched();
    Events.made[0]!.say('reconnect');
    await settle();
    Peer.made[0]!.become('failed');
    expect(states.at(-1)).toBe('connecting');
    Peer.last.become('connected');
    expect(states.at(-1)).toBe('watching');
    expect(shown).toHaveLength(2);
    expect(posts()).toBe(2);
  });

  it('knows a dead node by its events, when nothing else comes either', async () => {
    await watched();
    Events.made[0]!.say('error');
    await vi.advanceTimersByTimeAsync(1_500);
    expect(posts()).toBe(1);
    Peer.last.rate = 0;
    Events.made[0]!.say('error');
    await vi.advanceTimersByTimeAsync(1_600);
    expect(posts()).toBe(2);
    expect(Peer.made[0]!.closed).toBe(true);
  });

  it('publishes to another node before it leaves the one that asked', async () => {
    const stream = { getVideoTracks: () => [{ kind: 'video' }], getAudioTracks: () => [], getTracks: () => [] };
    const publisher = new WhipPublisher({ url: '/whip', token: 'key', onState: (state) => states.push(state as WatchState) });
    publisher.start(stream as unknown as MediaStream);
    await settle();
    Peer.last.become('connected');
    Events.made[0]!.say('reconnect');
    await settle();
    expect(posts()).toBe(2);
    expect(calls.at(-1)!.headers).toMatchObject({ Authorization: 'Bearer key' });
    Peer.last.become('connected');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(Peer.made.map(({ closed }) => closed)).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(Peer.made.map(({ closed }) => closed)).toEqual([true, false]);
    expect(states).toEqual(['connecting', 'live']);
    publisher.stop();
    expect(Peer.last.closed).toBe(true);
  });
});

describe('publishing', () => {
  const stream = { getVideoTracks: () => [{ kind: 'video' }], getAudioTracks: () => [{ kind: 'audio' }] } as unknown as MediaStream;

  it('sends picture and sound with its token, and takes them back with it', async () => {
    const publisher = new WhipPublisher({ url: '/whip', token: 'key', simulcast: true });
    publisher.start(stream);
    await settle();
    expect(Peer.last.transceivers.map(({ kind, init }) => [kind, init.direction])).toEqual([
      ['video', 'sendonly'],
      ['audio', 'sendonly'],
    ]);
    expect(Peer.last.transceivers[0]!.init.sendEncodings).toHaveLength(3);
    Peer.last.become('connected');
    expect(publisher.state).toBe('live');
    publisher.stop();
    expect(calls.at(-1)).toMatchObject({ method: 'DELETE', headers: { Authorization: 'Bearer key' } });
    expect(publisher.state).toBe('idle');
  });

  it('stops at a wrong key, tries again at a lost peer', async () => {
    answer = refused(401, { code: 'bad_stream_key' });
    const publisher = new WhipPublisher({ url: '/whip', token: 'key' });
    publisher.start(stream);
    await vi.advanceTimersByTimeAsync(30_000);
    expect([publisher.state, posts()]).toEqual(['refused', 1]);
    answer = created;
    publisher.start(stream);
    await settle();
    Peer.last.become('failed');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(posts()).toBe(3);
  });

  it('does not take its place back from another window of the same person', async () => {
    const problems: (string | undefined)[] = [];
    const publisher = new WhipPublisher({ url: '/whip', token: 'key', onState: (_, problem) => problems.push(problem?.code) });
    publisher.start(stream);
    await settle();
    Peer.last.become('connected');
    Events.made.at(-1)!.say('inactive');
    expect(publisher.state).toBe('live');
    Peer.last.become('closed'); // may come before the word that says why
    await vi.advanceTimersByTimeAsync(3_000);
    expect(posts()).toBe(1);
    Events.made.at(-1)!.say('inactive', '{"reason": "taken_over"}');
    await vi.advanceTimersByTimeAsync(30_000);
    expect([publisher.state, posts(), problems.at(-1)]).toEqual(['refused', 1, 'taken_over']);
  });

  it('waits for no word from a node whose events broke off', async () => {
    const publisher = new WhipPublisher({ url: '/whip', token: 'key' });
    publisher.start(stream);
    await settle();
    Peer.last.become('connected');
    Peer.last.become('closed');
    Events.made.at(-1)!.say('error');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(posts()).toBe(2);
    publisher.stop();
  });
});
