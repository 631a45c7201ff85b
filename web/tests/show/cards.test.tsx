// @vitest-environment happy-dom
import { render } from 'preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CheckoutSheet } from '../../show/checkout-sheet.tsx';
import { ShowStore } from '../../show/store.ts';
import { me } from '../../ui/session.ts';

const CARD = { brand: 'visa', exp_month: 12, exp_year: 2099, is_default: false };
const OLD = { ...CARD, id: 'old', last4: '0069', exp_year: 2020, is_default: true };
const POOR = { ...CARD, id: 'poor', last4: '0002', is_default: true };
const GOOD = { ...CARD, id: 'good', last4: '4242' };
const LINE = { variant_id: 'v1', quantity: 1, unit_price_minor: 1500, title: 'Bowl' };

let root: HTMLElement;
let store: ShowStore;
let sent: { card_id: string | null }[];

const picks = () => [...root.ownerDocument.querySelectorAll<HTMLButtonElement>('[data-testid=pick]')];
const until = (met: () => void) => vi.waitFor(met, { timeout: 30_000 });

beforeEach(() => {
  document.body.innerHTML = '<div id="app"></div>';
  root = document.getElementById('app')!;
  sent = [];
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network here')));
  me.value = { id: 'u1', display_name: 'Ana', email: 'a@x', roles: [] } as never;
  store = new ShowStore('s1', null);
  store.checkout.addresses.value = [{ id: 'a1', is_default: true, name: 'Ana' } as never];
  const send = async (tap: { card_id: string | null }, id: string) => {
    sent.push(tap);
    return { type: 'ack', id, order: { order_id: id, state: 'declined', total_minor: 1500, currency: 'EUR', lines: [LINE] } };
  };
  store.connection = { status: 'open', send, clock: { serverNow: () => Date.now() } } as never;
});

afterEach(() => {
  render(null, root);
  vi.unstubAllGlobals();
  me.value = undefined;
});

describe('cards', () => {
  it('are asked for again where the shop gave no answer', async () => {
    vi.useFakeTimers();
    store.checkout.addresses.value = null;
    await store.checkout.loadWallet();
    expect(store.checkout.ready.value).toBe(false);
    const answers: Record<string, object> = { '/api/me/cards': { cards: [GOOD] }, '/api/me/addresses': { addresses: [{ id: 'a1' }] } };
    vi.stubGlobal('fetch', async (path: string) => Response.json(answers[path]));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.checkout.ready.value).toBe(true);
    vi.useRealTimers();
  });

  it('are not paid with once they have expired, even the usual one', () => {
    store.checkout.cards.value = [OLD, GOOD];
    expect(store.checkout.card.value?.id).toBe('good');
    store.checkout.cards.value = [OLD];
    expect([store.checkout.card.value, store.checkout.need.value, store.checkout.ready.value]).toEqual([null, 'card', false]);
  });

  it('that were declined stand behind the others and say so; expired ones can only be seen', async () => {
    store.checkout.cards.value = [OLD, POOR, GOOD];
    store.checkout.buy([LINE as never]);
    await until(() => expect(store.checkout.purchase.value.step).toBe('declined'));
    expect(sent.map(({ card_id }) => card_id)).toEqual(['poor']);
    render(<CheckoutSheet store={store} />, root);
    store.checkout.anotherCard();
    const shown = () => picks().map((pick) => [pick.querySelector('small')!.textContent, pick.disabled]);
    await until(() =>
      expect(shown()).toEqual([
        ['expires 12/2099', false],
        ['was declined just now', false],
        ['expired 12/2020', true],
      ]),
    );
  });
});
