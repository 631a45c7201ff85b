import { describe, expect, it } from 'vitest';
import type { Product, ShowItem } from '../../core/types.ts';
import { moved, rowsOf } from '../../ui/desk/run.ts';

function item(id: string, state: ShowItem['state'] = 'upcoming'): ShowItem {
  const variants = [{ id: `${id}-v`, title: 'Default Title', price_minor: 1000, buyer_limit: 0, available: 3 }];
  const product: Product = { id, handle: id, title: id, description: '', state: 'active', images: [], variants };
  return { position: 0, product, state };
}

const room = { pin: null, stock: {}, prices: {} };
const pin = { product_id: 'b', title: 'b', currency: 'EUR', variants: [] };

describe('the run-of-show', () => {
  it('says what is pinned now, whatever the page was loaded with', () => {
    const rows = rowsOf([item('a', 'pinned'), item('b'), item('c')], { ...room, pin }, new Set(['b']), 'EUR');
    expect(rows.map((row) => row.state)).toEqual(['shown', 'pinned', 'upcoming']);
  });

  it('remembers what was pinned since the page was loaded', () => {
    const rows = rowsOf([item('a'), item('b')], room, new Set(['b']), 'EUR');
    expect(rows.map((row) => row.state)).toEqual(['upcoming', 'shown']);
  });

  it('shows the room’s stock and price rather than the page’s', () => {
    const live = { pin: null, stock: { 'a-v': 0 }, prices: { 'a-v': { price_minor: 750, compare_at_minor: 1000 } } };
    const [row] = rowsOf([item('a')], live, new Set(), 'EUR');
    expect(row!.card.variants[0]).toMatchObject({ available: 0, price_minor: 750, compare_at_minor: 1000 });
  });

  it('gives digits to the first nine alone', () => {
    const rows = rowsOf(Array.from({ length: 11 }, (_, at) => item(`p${at}`)), room, new Set(), 'EUR');
    expect(rows.map((row) => row.digit)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', null, null]);
  });

  it('moves a row to another place and leaves the rest in order', () => {
    expect(moved(['a', 'b', 'c', 'd'], 0, 2)).toEqual(['b', 'c', 'a', 'd']);
    expect(moved(['a', 'b', 'c', 'd'], 3, 0)).toEqual(['d', 'a', 'b', 'c']);
    expect(moved(['a', 'b'], 0, 9)).toEqual(['b', 'a']);
    expect(moved(['a', 'b'], 7, 0)).toEqual(['a', 'b']);
  });
});
