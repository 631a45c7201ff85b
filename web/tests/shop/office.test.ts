import { describe, expect, it } from 'vitest';
import { detailWords, placeOf } from '../../shop/office/activity-words.ts';
import { changeOf, overtaken, overtakenWords, rebased } from '../../shop/office/draft.ts';
import { fromLocal, toLocal } from '../../shop/office/local-time.ts';
import { tagsOf } from '../../shop/office/product-text.tsx';
import { basisPoints, percent } from '../../shop/office/percent.ts';
import { BLANK, changedIn, textOf, valuesOf } from '../../shop/office/variant-values.ts';

describe('a variant in fields', () => {
  const variant = { id: 'v', title: 'S', sku: 'A-1', price_minor: 1990, compare_at_minor: null, buyer_limit: 0, available: 7 };

  it('comes back as it was', () => {
    const read = valuesOf(textOf(variant, 'EUR'), 'EUR');
    expect(read).toEqual({ values: { title: 'S', sku: 'A-1', price_minor: 1990, compare_at_minor: null, buyer_limit: 0, available: 7 } });
  });
  it('is sent with what was changed alone, so that a price others set meanwhile stays', () => {
    const before = textOf(variant, 'EUR');
    const text = { ...before, sku: 'A-2', stock: '9' };
    const read = valuesOf(text, 'EUR');
    expect('values' in read && changedIn(text, before, read.values)).toEqual({ sku: 'A-2', available: 9 });
  });
  it('shows its usual price while a flash price runs', () => {
    const flash = { flash_id: 'f', price_minor: 990, was_minor: 1990, starts_ms: 0, ends_ms: 1, buyer_limit: 0 };
    const text = textOf({ ...variant, price_minor: 990, compare_at_minor: 1990, flash }, 'EUR');
    expect([text.price, text.compareAt]).toEqual(['19.90', '']);
  });
  it('counts yen without decimals', () => {
    expect(textOf(variant, 'JPY').price).toBe('1990');
  });
  it('names every field that is wrong', () => {
    const read = valuesOf({ ...BLANK, price: 'cheap', stock: '-1', limit: '1.5', compareAt: 'x' }, 'EUR');
    expect('faults' in read && Object.keys(read.faults).sort()).toEqual(['compareAt', 'limit', 'price', 'stock']);
  });
  it('refuses a reduction that is none', () => {
    const read = valuesOf({ ...BLANK, price: '20', compareAt: '20' }, 'EUR');
    expect('faults' in read && read.faults.compareAt).toBeTruthy();
  });
  it('refuses more units than there can be', () => {
    expect('faults' in valuesOf({ ...BLANK, price: '1', stock: '1000001' }, 'EUR')).toBe(true);
  });
});

describe('tags', () => {
  it('are what stands between commas, each once', () => {
    expect(tagsOf(' tea, for two,, tea ,')).toEqual(['tea', 'for two']);
    expect(tagsOf(' ')).toEqual([]);
  });
});

describe('rates', () => {
  it('are written as percent', () => {
    expect(percent(770)).toBe('7.7');
    expect(basisPoints('7,7')).toBe(770);
    expect(basisPoints('19 %')).toBe(1900);
    expect(basisPoints('0')).toBe(0);
  });
  it('stay between 0 and 100 with two decimals', () => {
    for (const text of ['', '-1', '101', '7.777', 'all']) expect(basisPoints(text)).toBeNull();
  });
});

describe('a form over what others save, too', () => {
  const saved = { title: 'Cup', tags: ['a'], host: null as string | null };
  const typed = { base: saved, text: { ...saved, title: 'Mug' } };

  it('sends what was changed, with what that is based on', () => {
    expect(changeOf(typed.text, saved)).toEqual({ title: 'Mug', was: { title: 'Cup' } });
    expect(changeOf(saved, saved)).toEqual({});
  });
  it('follows others where nobody typed', () => {
    const now = { ...saved, tags: ['b'], host: 'Ana' };
    expect(rebased(typed, now).text).toEqual({ title: 'Mug', tags: ['b'], host: 'Ana' });
    expect(overtaken(rebased(typed, now), now)).toEqual({});
  });
  it('keeps what was typed over what others changed, and says so until it is saved', () => {
    const now = { ...saved, title: 'Beaker' };
    const mine = rebased(rebased(typed, now), now);
    expect([mine.text.title, overtaken(mine, now)]).toEqual(['Mug', { title: 'Beaker' }]);
    expect(changeOf(mine.text, now)).toEqual({ title: 'Mug', was: { title: 'Beaker' } });
    const done = { ...now, title: 'Mug' };
    expect(overtaken(rebased(mine, done), done)).toEqual({});
    expect(rebased(rebased(mine, done), saved).text.title).toBe('Cup');
  });
  it('is told in few words', () => {
    expect(overtakenWords('Beaker')).toContain('“Beaker”');
    expect(overtakenWords('x'.repeat(200)).length).toBeLessThan(140);
    expect(overtakenWords(null)).toContain('empty');
  });
});

describe('times of a form', () => {
  it('come back the same minute, whatever the zone', () => {
    expect(fromLocal(toLocal('2026-07-01T18:30:00Z'))).toBe('2026-07-01T18:30:00.000Z');
  });
  it('are empty where there is none', () => {
    expect(toLocal('soon')).toBe('');
    expect(fromLocal('')).toBeNull();
  });
});

describe('what the team did', () => {
  it('leads to what it was done to, where that has a page', () => {
    expect(placeOf({ action: 'set_cover', subject: 's1', product_id: null })).toBe('/office/shows/s1');
    expect(placeOf({ action: 'order_images', subject: 'p1', product_id: 'p1' })).toBe('/office/catalogue/p1');
    expect(placeOf({ action: 'edit_variant', subject: 'v1', product_id: 'p1' })).toBe('/office/catalogue/p1');
    expect(placeOf({ action: 'invite', subject: 'ana@shop.example', product_id: null })).toBeNull();
  });
  it('is told in money and words, without ids and empty lists', () => {
    expect(detailWords({ from_minor: 2800, to_minor: 2900, image_id: 'x', show: '01a203a3-6c10-758e-a7da-f35d82d785e3', findings: [] }, 'EUR')).toBe('from: €28.00, to: €29.00');
    expect(detailWords({ tags: ['tea', 'pots'], state: 'draft', title: null }, 'EUR')).toBe('tags: tea, pots, state: draft');
  });
});
