// @vitest-environment happy-dom
import { render } from 'preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../../core/problem.ts';
import type { CommandWish } from '../../core/room.ts';
import type { Ack, AuctionView, FlashView, ProductCard, StandingView } from '../../core/protocol.ts';
import { EMPTY_ROOM, type RoomState } from '../../core/room-state.ts';
import { Features } from '../../show/features.tsx';
import { Counter } from '../../shop/counter.ts';
import { Till } from '../../shop/till.ts';
import { ShowStore } from '../../show/store.ts';
import { config, me } from '../../ui/session.ts';

const START_MS = 1_800_000_000_000;
const CARD: ProductCard = {
  product_id: 'p1',
  title: 'Lamp',
  currency: 'EUR',
  variants: [{ variant_id: 'v1', title: 'Lamp', price_minor: 1500, compare_at_minor: 1900, available: 4 }],
};
const FLASH: FlashView = { flash_id: 'f1', variant_id: 'v1', price_minor: 1500, was_minor: 1900, starts_ms: START_MS, ends_ms: START_MS + 62_000, buyer_limit: 2 };
const AUCTION: AuctionView = {
  auction_id: 'a1',
  variant_id: 'v1',
  card: CARD,
  state: 'open',
  start_minor: 1000,
  increment_minor: 100,
  duration_s: 60,
  extension_s: 10,
  latency_window_ms: 800,
  price_minor: 1400,
  next_minor: 1500,
  bids: 3,
  leader: 'Amber Fox',
  ends_ms: START_MS + 30_000,
};

let root: HTMLElement;
let store: ShowStore;
let sent: CommandWish[];
let answer: (wish: CommandWish) => Promise<Partial<Ack>>;

/** A viewer in a room of which only the state and the commands are real. */
function enter(room: Partial<RoomState>): void {
  store = new ShowStore('s1', null);
  store.room.value = { ...EMPTY_ROOM, offset: { epoch: 'e', number: 1 }, show_state: 'live', ...room };
  const send = async (wish: CommandWish) => (sent.push(wish), { type: 'ack', id: 'c', ...(await answer(wish)) });
  store.connection = { status: 'open', send, clock: { serverNow: () => Date.now() } } as never;
  store.checkout.cards.value = [{ id: 'c1', brand: 'visa', last4: '4242', exp_month: 1, exp_year: 2040, is_default: true }];
  store.checkout.addresses.value = [{ id: 'h1', name: 'Ana', line1: 'Rue 1', city: 'X', postal_code: '1', country: 'FR', is_default: true }];
  store.floor.ticks.poke();
  render(<Features store={store} />, root);
}

const at = (testid: string) => root.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const words = (testid: string) => at(testid)?.textContent ?? null;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const standing = (state: StandingView['state'], more: Partial<StandingView> = {}): StandingView => ({
  auction_id: 'a1',
  alias: 'Quiet Heron',
  state,
  max_minor: 2000,
  ...more,
});

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS, toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance', 'requestAnimationFrame'] });
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network here')));
  root = document.createElement('div');
  document.body.append(root);
  sent = [];
  answer = async () => ({});
  me.value = { id: 'u1', email: 'a@b.example', display_name: 'Ana', email_verified: true, show_first_name: false, roles: [] };
  config.value = { shop: { currency: 'EUR', flat_shipping_minor: 0 }, payments: { provider: 'demo' } } as never;
});
afterEach(() => {
  store.floor.ticks.stop();
  render(null, root);
  root.remove();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('a flash price', () => {
  const room = { pin: CARD, flashes: { v1: FLASH }, stock: { v1: 4 }, prices: { v1: { price_minor: 1500, compare_at_minor: 1900 } } };

  it('counts down and is over by itself, with the usual price on the button', async () => {
    enter(room);
    expect(words('flash-left')).toBe('1:02');
    expect(words('buy')).toMatch(/15[.,]00/);
    await pass(2_100);
    expect(words('flash-left')).toBe('1:00');
    expect(words('spoken-clock')).toBe('Flash price: one minute left');
    await pass(60_000);
    expect(at('flash')!.dataset['on']).toBe('false');
    expect(words('buy')).toMatch(/19[.,]00/);
  });

  it('is never bought in the moment in which it changes', async () => {
    enter(room);
    await pass(61_990);
    await pass(20);
    at('buy')!.click();
    await pass(20);
    expect(sent).toEqual([]);
    expect(words('price-moved')).toMatch(/Tap again/);
    await pass(400);
    at('buy')!.click();
    await pass(20);
    expect(sent).toMatchObject([{ type: 'buy', lines: [{ variant_id: 'v1', unit_price_minor: 1900 }] }]);
  });
});

describe('a drop', () => {
  const drop = { drop_id: 'd1', variant_id: 'v1', card: CARD, state: 'scheduled' as const, opens_ms: START_MS + 5_000, units: 3 };

  it('opens by the clock, in one tap', async () => {
    enter({ drops: { v1: drop }, stock: { v1: 0 } });
    expect(at('drop')!.dataset['phase']).toBe('before');
    expect((at('drop-wait') as HTMLButtonElement).disabled).toBe(true);
    await pass(5_010);
    expect(at('drop')!.dataset['phase']).toBe('open');
    await pass(400);
    at('buy')!.click();
    await pass(20);
    expect(sent).toMatchObject([{ type: 'buy', lines: [{ variant_id: 'v1', quantity: 1 }] }]);
  });

  it('is asked for again when the tap came a moment too early', async () => {
    enter({ drops: { v1: { ...drop, opens_ms: START_MS } }, stock: { v1: 0 } });
    answer = async () => {
      throw new Problem({ code: 'not_open_yet', detail: 'Not yet.', retry_after_s: 0.2 });
    };
    at('buy')!.click();
    await pass(50);
    answer = async () => ({ order: { order_id: (sent.at(-1) as unknown as { order_id: string }).order_id, state: 'paid', total_minor: 1500, currency: 'EUR', position: 2 } });
    await pass(300);
    expect(sent).toHaveLength(2);
    expect(store.checkout.purchase.value).toMatchObject({ step: 'paid', order: { position: 2 } });
  });

  it('leads to the waitlist, the turn and a purchase with the offer', async () => {
    enter({ drops: { v1: { ...drop, state: 'sold_out', waiting: 2 } }, stock: { v1: 0 } });
    answer = async () => ({ place: { variant_id: 'v1', state: 'waiting', quantity: 1, position: 3 } });
    at('join-waitlist')!.click();
    await pass(20);
    expect(words('place')).toBe('You are 3rd in line');
    store.floor.hearPlace({ variant_id: 'v1', state: 'offered', quantity: 1, offer_id: 'o1', offer_ends_ms: Date.now() + 90_000, unit_price_minor: 1500 });
    await pass(20);
    expect(words('turn-left')).toBe('1:30');
    at('take-turn')!.click();
    await pass(20);
    expect(sent.at(-1)).toMatchObject({ type: 'buy', offer_id: 'o1' });
    await pass(90_000);
    expect(at('turn')!.dataset['over']).toBe('true');
    expect(at('take-turn')).toBeNull();
  });
});

describe('an auction', () => {
  it('takes the next bid in one tap and says where one stands', async () => {
    enter({ auctions: { a1: AUCTION } });
    answer = async () => ({ standing: standing('leading', { misbid_until_ms: Date.now() + 8_000 }) });
    await pass(400);
    at('bid')!.click();
    await pass(20);
    expect(sent).toMatchObject([{ type: 'bid', auction_id: 'a1', max_minor: 1500 }]);
    expect(words('standing')).toMatch(/You’re leading/);
    expect(words('auction-spoken')).toBe('You are leading the auction of Lamp.');
    expect(at('retract')).not.toBeNull();
    await pass(8_300);
    expect(at('retract')).toBeNull();
    store.floor.hearStanding(standing('outbid'));
    await pass(20);
    expect(words('standing')).toMatch(/You’ve been outbid/);
  });

  it('knows of no bid once it is taken back', async () => {
    enter({ auctions: { a1: AUCTION } });
    store.floor.hearStanding(standing('leading', { misbid_until_ms: Date.now() + 8_000 }));
    await pass(20);
    answer = async () => ({ standing: standing('outbid', { max_minor: 0 }) });
    at('retract')!.click();
    await pass(20);
    expect(sent).toMatchObject([{ type: 'retract_bid', auction_id: 'a1' }]);
    expect(at('auction')!.dataset['standing']).toBe('none');
    expect(at('bid')).not.toBeNull();
  });

  it('asks where one stands when an auction moves on and nobody says', async () => {
    enter({ auctions: { a1: AUCTION } });
    store.floor.hearStanding(standing('leading'));
    const won = { ...AUCTION, state: 'charging' as const };
    vi.stubGlobal('fetch', async (path: string) =>
      Response.json(path.endsWith('auctions') ? { auctions: [{ standing: standing('won'), auction: won, show_id: 's1' }] } : { places: [] }),
    );
    store.room.value = { ...store.room.value, auctions: { a1: won } };
    store.floor.hear([{ type: 'auction_changed', n: 2, at_ms: 0, auction: won }]);
    await pass(5_200);
    expect(store.floor.standings.value['a1']!.state).toBe('won');
  });

  it('says why a winner did not pay, and whose it is now', async () => {
    enter({ auctions: { a1: { ...AUCTION, state: 'charging' } } });
    store.floor.hearStanding(standing('payment_failed', { reason: 'The card has expired.' }));
    await pass(20);
    expect(words('standing')).toMatch(/The card has expired\. It goes to the next bidder, and you were not charged\./);
    store.room.value = { ...store.room.value, auctions: { a1: { ...AUCTION, state: 'unsold' } } };
    await pass(20);
    expect(words('standing')).toMatch(/It stays unsold, and you were not charged\./);
  });

  it('makes room for what is pinned next once it is over, not while it runs', async () => {
    const other = { ...CARD, product_id: 'p2', title: 'Cup' };
    enter({ auctions: { a1: AUCTION } });
    store.room.value = { ...store.room.value, pin: other };
    store.floor.pinned('p2');
    await pass(20);
    expect(at('auction')).not.toBeNull();
    store.room.value = { ...store.room.value, auctions: { a1: { ...AUCTION, state: 'sold' } } };
    await pass(20);
    expect(at('auction')!.dataset['phase']).toBe('sold');
    store.floor.pinned('p2');
    await pass(20);
    expect(words('pin-title')).toBe('Cup');
  });

  it('asks once by itself, and again after an outage only where something is at stake', async () => {
    enter({ auctions: { a1: AUCTION } });
    const asked: string[] = [];
    vi.stubGlobal('fetch', async (path: string) => (asked.push(path), Response.json({ auctions: [], places: [] })));
    for (let welcome = 0; welcome < 3; welcome++) {
      store.floor.ask();
      await pass(2_000);
    }
    expect(asked).toEqual(['/api/me/waitlist', '/api/me/auctions']);
    store.floor.hearStanding(standing('leading'));
    store.floor.ask();
    await pass(2_000);
    expect(asked).toHaveLength(4);
  });

  it('says that it is won once, and not again with each opening of the page', async () => {
    const order = { id: 'o1', state: 'paid', total_minor: 1400, currency: 'EUR', lines: [] };
    vi.stubGlobal('fetch', async () => Response.json(order));
    const opened = { leading: 'paid', nothing: 'idle' };
    for (const [known, step] of Object.entries(opened)) {
      enter({ auctions: { a1: { ...AUCTION, state: 'sold' } } });
      if (known === 'leading') store.floor.hearStanding(standing('leading'));
      store.floor.hearStanding(standing('won', { order_id: 'o1' }));
      await pass(100);
      expect(store.checkout.purchase.value.step).toBe(step);
    }
  });

  it('takes no bid after the hammer, whether or not its news has come', async () => {
    enter({ auctions: { a1: AUCTION } });
    await pass(30_010);
    expect(at('auction')!.dataset['phase']).toBe('hammer');
    expect(at('bid')).toBeNull();
  });

  it('explains a bid that came too late and offers the next one', async () => {
    enter({ auctions: { a1: AUCTION } });
    answer = async () => {
      throw new Problem({ code: 'bid_too_low', detail: 'x' });
    };
    await pass(400);
    at('bid')!.click();
    await pass(20);
    expect(at('standing')!.dataset['said']).toBe('bid_too_low');
    expect(words('standing')).toMatch(/Bid more/);
    expect(at('bid')).not.toBeNull();
  });

  it('asks for a card where one is needed, and then bids', async () => {
    enter({ auctions: { a1: AUCTION } });
    answer = async () => {
      throw new Problem({ code: 'card_needed', detail: 'x' });
    };
    await pass(400);
    at('bid')!.click();
    await pass(20);
    expect([store.sheet.value, store.checkout.need.value]).toEqual(['checkout', 'card']);
    answer = async () => ({ standing: standing('leading') });
    store.checkout.goal.value!.run();
    await pass(20);
    expect(sent).toHaveLength(2);
    expect(store.floor.standings.value['a1']!.state).toBe('leading');
  });

  it('says nothing of a price that jumped under the finger', async () => {
    enter({ auctions: { a1: AUCTION } });
    await pass(400);
    store.room.value = { ...store.room.value, auctions: { a1: { ...AUCTION, price_minor: 1900, next_minor: 2000 } } };
    await pass(20);
    at('bid')!.click();
    await pass(20);
    expect(sent).toEqual([]);
    expect(at('standing')!.dataset['said']).toBe('price_moved');
  });

  it('is closed to who works for the shop, in words', async () => {
    enter({ auctions: { a1: AUCTION } });
    store.you.value = { user_id: 'u1', name: 'Ana', roles: ['producer'], may: [] };
    await pass(20);
    expect(words('staff-note')).toMatch(/work for this shop/);
    expect(at('bid')).toBeNull();
  });

  it('asks a guest to sign in', async () => {
    me.value = null;
    enter({ auctions: { a1: AUCTION } });
    await pass(400);
    at('bid')!.click();
    await pass(20);
    expect(store.checkout.need.value).toBe('sign-in');
    expect(sent).toEqual([]);
  });
});

describe('what a guest taps', () => {
  const person = () => me.value!;
  const YOU = { user_id: 'u1', name: 'Ana', roles: [], may: ['react'] } as never;

  it('is done once they are signed in and the room knows them', async () => {
    const ana = person();
    me.value = null;
    enter({ stock: { v1: 0 } });
    await store.floor.join('v1', 2);
    expect([store.sheet.value, sent]).toEqual(['sign-in', []]);
    me.value = ana;
    store.open(null);
    expect(sent).toEqual([]);
    store.hearYou(YOU);
    store.hearYou(YOU);
    await pass(20);
    expect(sent).toEqual([{ type: 'join_waitlist', variant_id: 'v1', quantity: 2 }]);
  });

  it('is forgotten where they turn away', async () => {
    const ana = person();
    me.value = null;
    enter({ stock: { v1: 0 } });
    await store.floor.join('v1', 2);
    store.open(null);
    me.value = ana;
    store.hearYou(YOU);
    await pass(20);
    expect(sent).toEqual([]);
  });

  it('waits in the shop, too, where there is no room', async () => {
    const ana = person();
    const asked: string[] = [];
    enter({});
    vi.stubGlobal('fetch', async (url: string, init?: { method?: string }) => (asked.push(`${init?.method ?? 'GET'} ${url}`), Promise.reject(new TypeError('no network here'))));
    const till = new Till();
    const counter = new Counter(till);
    for (const stays of [false, true]) {
      me.value = null;
      void counter.join('v1', 1);
      expect(till.sheet.value).toBe('sign-in');
      if (stays) me.value = ana;
      till.open(null);
      await pass(20);
      expect(asked.filter((ask) => ask.startsWith('POST')).length).toBe(stays ? 1 : 0);
    }
    counter.ticks.stop();
  });
});
