import { describe, expect, it, vi } from 'vitest';
import { ServerClock } from '../../core/clock.ts';
import { countdown, money, moneyInput, parseMoney, relative } from '../../core/format.ts';
import { ReactionFold } from '../../core/reactions.ts';
import { OpenOrders } from '../../core/tap.ts';
import { uuidv7 } from '../../core/uuidv7.ts';
import { encodings } from '../../core/whip.ts';
import { idOf } from '../../core/payment/demo.ts';
import { safeNext } from '../../ui/session.ts';
import { imageAt, withQuery } from '../../core/api.ts';

describe('uuid v7', () => {
  it('carries the time, its version and variant', () => {
    const id = uuidv7(0x0123_4567_89ab, new Uint8Array(10).fill(0xff));
    expect(id).toBe('01234567-89ab-7fff-bfff-ffffffffffff');
  });
  it('sorts by time and does not repeat', () => {
    const ids = Array.from({ length: 200 }, (_, index) => uuidv7(1_700_000_000_000 + index));
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(Array.from({ length: 500 }, () => uuidv7(1))).size).toBe(500);
  });
});

describe('the server’s clock', () => {
  it('believes the shortest round trip', () => {
    const clock = new ServerClock(() => 1_000);
    clock.sample(11_000, 0, 2_000);
    expect(clock.offsetMs).toBe(10_000);
    clock.sample(10_540, 1_000, 1_040);
    expect(clock.offsetMs).toBe(9_520);
    clock.sample(99_000, 2_000, 2_400);
    expect(clock.serverNow()).toBe(10_520);
  });
  it('takes a worse sample once the best is old', () => {
    const clock = new ServerClock(() => 0, 1_000);
    clock.sample(100, 0, 0);
    clock.sample(5_500, 5_000, 5_200);
    expect(clock.offsetMs).toBe(400);
  });
});

describe('money', () => {
  it('knows each currency’s minor unit', () => {
    expect(money(1999, 'USD', 'en-US')).toBe('$19.99');
    expect(money(1999, 'JPY', 'en-US')).toBe('¥1,999');
    expect(money(1990, 'KWD', 'en-US').replace(/\s/g, ' ')).toBe('KWD 1.990');
  });
  it('counts as the shop charges, where browsers would be a hundred times off', () => {
    const plain = (minor: number, currency: string) => money(minor, currency, 'en-US').replace(/\s/g, ' ');
    expect([plain(199_900, 'HUF'), plain(199_950, 'HUF'), plain(50_000, 'ISK'), plain(1999, 'MGA')]).toEqual(['HUF 1,999', 'HUF 1,999.50', 'ISK 500', 'MGA 1,999']);
    expect([moneyInput(50_000, 'ISK'), moneyInput(1990, 'KWD'), moneyInput(199_900, 'HUF')]).toEqual(['500', '1.990', '1999.00']);
  });
  it.each([
    ['19.9', 'USD', 1990],
    ['19,90', 'EUR', 1990],
    ['0', 'EUR', 0],
    ['12.34', 'KWD', 12_340],
    ['12.340', 'KWD', 12_340],
    ['12.345', 'KWD', null],
    ['500', 'ISK', 50_000],
    ['500.5', 'ISK', null],
    ['1999', 'HUF', 199_900],
    ['7', 'JPY', 7],
    ['7.5', 'JPY', null],
    ['1.999', 'USD', null],
    ['-3', 'USD', null],
    ['12 apples', 'USD', null],
    ['', 'USD', null],
  ])('reads %s %s as %s', (text, currency, minor) => {
    expect(parseMoney(text, currency)).toBe(minor);
  });
  it('writes what it reads', () => {
    expect(parseMoney(moneyInput(1050, 'USD'), 'USD')).toBe(1050);
  });
});

describe('time', () => {
  it('counts down and stops at nothing', () => {
    expect(countdown(90_061_000, 0)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1, done: false });
    expect(countdown(0, 5)).toMatchObject({ seconds: 0, done: true });
  });
  it('speaks of near times in near words', () => {
    expect(relative(7_200_000, 0, 'en')).toBe('in 2 hours');
    expect(relative(0, 3_000, 'en')).toBe('now');
  });
});

describe('reactions', () => {
  it('go at once, then as sums, at most twenty', () => {
    vi.useFakeTimers();
    const sent: [string, number][] = [];
    const fold = new ReactionFold((kind, count) => sent.push([kind, count]));
    for (let tap = 0; tap < 40; tap++) fold.tap('heart');
    expect(sent).toEqual([['heart', 1]]);
    vi.advanceTimersByTime(500);
    expect(sent).toEqual([
      ['heart', 1],
      ['heart', 20],
    ]);
    vi.useRealTimers();
  });
});

describe('open orders', () => {
  it('stay until they are over, and not for ever', () => {
    let kept = '';
    const storage = { getItem: () => kept, setItem: (_: string, value: string) => void (kept = value) };
    let now = 0;
    const open = new OpenOrders(storage, () => now);
    open.add('a');
    open.add('b');
    open.remove('a');
    expect(open.list().map((row) => row.id)).toEqual(['b']);
    now = 4 * 86_400_000;
    expect(open.list()).toEqual([]);
    kept = 'not json';
    expect(open.list()).toEqual([]);
  });
});

describe('addresses', () => {
  it('only leads back to this site', () => {
    expect(safeNext('/shows/1?a=b')).toBe('/shows/1?a=b');
    for (const bad of ['//evil.test', '/\\evil.test', 'https://evil.test', '', null]) expect(safeNext(bad)).toBe('/');
  });
  it('leaves out empty parts of a query', () => {
    expect(withQuery('/a', { q: 'x y', cursor: null, b: '' })).toBe('/a?q=x+y');
  });
  it('picks an image size', () => {
    expect(imageAt('/media/1/640.webp', 96)).toBe('/media/1/96.webp');
    expect(imageAt('/other.png', 96)).toBe('/other.png');
  });
  it('reads the intent out of a client secret', () => {
    expect(idOf('seti_1_secret_abc')).toBe('seti_1');
  });
});

describe('publishing', () => {
  it('sends one layer or three, capped', () => {
    expect(encodings(false, 2000)).toEqual([{ maxBitrate: 2_000_000, maxFramerate: 30 }]);
    const layers = encodings(true, 2000);
    expect(layers.map((layer) => layer.rid)).toEqual(['q', 'h', 'f']);
    expect(layers.map((layer) => layer.scaleResolutionDownBy)).toEqual([4, 2, 1]);
    expect(layers.every((layer) => layer.maxBitrate! <= 2_000_000)).toBe(true);
  });
});
