// @vitest-environment happy-dom
import { render } from 'preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { noAnswer } from '../../core/problem.ts';
import { EMPTY_ROOM } from '../../core/room-state.ts';
import { Composer } from '../../show/composer.tsx';
import { Outcome } from '../../show/outcome.tsx';
import { ShowStore } from '../../show/store.ts';
import { me } from '../../ui/session.ts';

const ROOM = { ...EMPTY_ROOM, offset: { epoch: 'e', number: 1 }, show_state: 'live' as const };
const ORDER = { id: 'o1', state: 'paid', total_minor: 1500, currency: 'EUR', lines: [] };

let root: HTMLElement;
let store: ShowStore;
let sent: { text: string; id: string | undefined }[];
let answers: boolean;

const at = (testid: string) => root.querySelector<HTMLInputElement>(`[data-testid="${testid}"]`)!;
const settle = () => vi.advanceTimersByTimeAsync(50);

async function say(text: string): Promise<void> {
  at('composer').value = text;
  at('composer').dispatchEvent(new Event('input', { bubbles: true }));
  await settle();
  root.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await settle();
}

beforeEach(() => {
  vi.useFakeTimers();
  document.body.innerHTML = '<div id="app"></div>';
  root = document.getElementById('app')!;
  sent = [];
  answers = false;
  me.value = { id: 'u1', display_name: 'Ana', email: 'a@x', roles: [] } as never;
  store = new ShowStore('s1', null);
  store.room.value = ROOM;
  store.status.value = 'open';
  store.you.value = { user_id: 'u1', name: 'Ana', roles: [], may: ['say'] } as never;
  const send = async ({ text }: { text: string }, id?: string) => {
    sent.push({ text, id });
    if (!answers) throw noAnswer();
    return { type: 'ack', id };
  };
  store.connection = { status: 'open', send, clock: { serverNow: () => Date.now() } } as never;
});

afterEach(() => {
  render(null, root);
  vi.unstubAllGlobals();
  vi.useRealTimers();
  me.value = undefined;
});

describe('a comment without an answer', () => {
  beforeEach(() => render(<Composer store={store} over={false} />, root));

  it('is sent again under the same id, and another one under its own', async () => {
    await say('hello?');
    await say('hello?');
    await say('hello!');
    const [first, again, other] = sent.map(({ id }) => id);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    expect(at('comment-refused').textContent).not.toBe('');
  });

  it('leaves the line once it is seen to have arrived', async () => {
    await say('hello?');
    expect(at('composer').value).toBe('hello?');
    store.room.value = { ...ROOM, feed: [{ kind: 'comment', comment_id: 'c1', user_id: 'u1', name: 'Ana', text: 'hello?', at_ms: 1 } as never] };
    await settle();
    expect(at('composer').value).toBe('');
    expect(at('comment-refused').textContent).toBe('');
  });

  it('stays where somebody else says the same', async () => {
    await say('hello?');
    store.room.value = { ...ROOM, feed: [{ kind: 'comment', comment_id: 'c1', user_id: 'u2', name: 'Bo', text: 'hello?', at_ms: 1 } as never] };
    await settle();
    expect(at('composer').value).toBe('hello?');
  });
});

describe('an order without an answer', () => {
  const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });

  beforeEach(() => {
    store.checkout.purchase.value = { step: 'unknown', orderId: 'o1', lines: [], problem: noAnswer() };
    render(<Outcome store={store} />, root);
  });

  it('is found when the connection is back, also where it arrives a little later', async () => {
    const found = [json(404, { code: 'no_such_order' }), json(200, ORDER)];
    vi.stubGlobal('fetch', async () => found.shift() ?? json(500, {}));
    const looking = store.checkout.lookUp();
    await vi.advanceTimersByTimeAsync(0);
    expect(at('outcome').dataset['outcome']).toBe('unknown');
    await vi.advanceTimersByTimeAsync(10_000);
    await looking;
    expect(at('outcome').dataset['outcome']).toBe('paid');
  });

  it('stays unknown, with a way to ask, where the shop has none', async () => {
    const asked = vi.fn(async () => json(404, { code: 'no_such_order' }));
    vi.stubGlobal('fetch', asked);
    const looking = store.checkout.lookUp();
    await vi.advanceTimersByTimeAsync(20_000);
    await looking;
    expect(asked).toHaveBeenCalledTimes(3);
    expect(at('ask-again')).not.toBeNull();
  });
});
