import { describe, expect, it } from 'vitest';
import { fromLocal, toLocal } from '../../shop/office/local-time.ts';
import { basisPoints, percent } from '../../shop/office/percent.ts';
import { successor } from '../../shop/office/staff.ts';
import { BLANK, textOf, valuesOf } from '../../shop/office/variant-values.ts';

describe('a variant in fields', () => {
  const variant = { id: 'v', title: 'S', sku: 'A-1', price_minor: 1990, compare_at_minor: null, buyer_limit: 0, available: 7 };

  it('comes back as it was', () => {
    const read = valuesOf(textOf(variant, 'EUR'), 'EUR');
    expect(read).toEqual({ values: { title: 'S', sku: 'A-1', price_minor: 1990, compare_at_minor: null, buyer_limit: 0, available: 7 } });
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

describe('the id after an id', () => {
  it('is one more, across the groups', () => {
    expect(successor('01a201d7-e362-77c2-b5be-adec2f2b8b33')).toBe('01a201d7-e362-77c2-b5be-adec2f2b8b34');
    expect(successor('00000000-0000-0000-ffff-ffffffffffff')).toBe('00000000-0000-0001-0000-000000000000');
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
