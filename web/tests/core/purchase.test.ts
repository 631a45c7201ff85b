import { describe, expect, it } from 'vitest';
import { live, mostOf, totals } from '../../core/offer.ts';
import { Problem } from '../../core/problem.ts';
import { afterNews, afterProblem, IDLE, instead, titles, type Line, type Purchase } from '../../core/purchase.ts';

const LINE: Line = { variant_id: 'v1', quantity: 2, unit_price_minor: 1900, title: 'Lamp' };
const placing: Purchase = { step: 'placing', orderId: 'o1', lines: [LINE] };
const news = (state: string, order_id = 'o1') => ({ order_id, state, total_minor: 4290, currency: 'EUR' });
const refused = (code: string, line: object) =>
  afterProblem(placing, new Problem({ code, lines: [{ variant_id: 'v1', code, ...line }] }));

describe('a purchase', () => {
  it('follows its own order to the end', () => {
    const charging = afterNews(placing, news('charging'));
    expect(charging.step).toBe('charging');
    expect(afterNews(charging, news('paid', 'another'))).toBe(charging);
    const asked = afterNews(charging, { ...news('action_needed'), client_secret: 's' });
    expect(asked.step).toBe('action');
    expect(afterNews(asked, news('paid')).step).toBe('paid');
  });

  it('is not taken back by late news', () => {
    const paid = afterNews(placing, news('paid'));
    expect(afterNews(paid, news('charging'))).toBe(paid);
    expect(afterNews(IDLE, news('paid'))).toBe(IDLE);
  });

  it('tells a no from no answer', () => {
    expect(afterProblem(placing, new Problem({ code: 'sold_out' })).step).toBe('refused');
    expect(afterProblem(placing, new Problem({ code: 'no_answer' }))).toMatchObject({ step: 'unknown', orderId: 'o1' });
  });

  it('offers the new price or what is left, never a guess', () => {
    expect(instead(refused('price_changed', { price_minor: 2100 }))).toEqual([{ ...LINE, unit_price_minor: 2100 }]);
    expect(instead(refused('sold_out', { available: 1 }))).toEqual([{ ...LINE, quantity: 1 }]);
    expect(instead(refused('sold_out', { available: 0 }))).toBeNull();
    expect(instead(refused('buyer_limit', { buyer_limit: 2 }))).toBeNull();
    expect(instead(refused('no_card', {}))).toBeNull();
  });

  it('offers the rest of a bag without what is gone', () => {
    const other: Line = { ...LINE, variant_id: 'v2', quantity: 1, title: 'Cup' };
    const bag = afterProblem(
      { step: 'placing', orderId: 'o1', lines: [LINE, other] },
      new Problem({ code: 'sold_out', lines: [{ variant_id: 'v1', code: 'sold_out', available: 0 }] }),
    );
    expect(instead(bag)).toEqual([other]);
  });

  it('has words for its lines', () => {
    expect(titles([LINE, { ...LINE, quantity: 1, title: 'Cup' }])).toBe('2 × Lamp, Cup');
  });
});

describe('an offer', () => {
  const card = {
    product_id: 'p',
    title: 'Lamp',
    currency: 'EUR',
    variants: [{ variant_id: 'v1', title: 'Red', price_minor: 1900, available: 4, buyer_limit: 3 }],
  };
  it('is what the room said last', () => {
    const now = live(card, { stock: { v1: 1 }, prices: { v1: { price_minor: 1500, compare_at_minor: 1900 } } });
    expect(now.variants[0]).toMatchObject({ available: 1, price_minor: 1500, compare_at_minor: 1900 });
    expect(mostOf(now.variants[0]!)).toBe(1);
    expect(mostOf(card.variants[0]!)).toBe(3);
  });
  it('costs goods and one flat shipping', () => {
    const shop = { flat_shipping_minor: 490 } as never;
    expect(totals([LINE], shop)).toEqual({ goods_minor: 3800, shipping_minor: 490, total_minor: 4290 });
    expect(totals([], shop).total_minor).toBe(0);
  });
});
