import { describe, expect, it } from 'vitest';
import type { Order } from '../../core/types.ts';
import { deviceOf } from '../../shop/account/device.ts';
import { detailOf, happened, stateWords } from '../../shop/order-words.ts';

const order = (change: Partial<Order>): Order => ({ state: 'paid', currency: 'EUR', total_minor: 9490, refunded_minor: 0, ...change }) as Order;

describe('history', () => {
  it('speaks of what is known and of what is not', () => {
    expect(happened('refund_asked')).toBe('Refund started');
    expect(happened('sent_to_mars')).toBe('Sent to mars');
  });
  it('shows money as money and hides which attempt it was', () => {
    expect(detailOf('total minor 9490, attempt 1', 'EUR')).toMatch(/94[.,]90/);
    expect(detailOf('attempt 2', 'EUR')).toBe('');
    expect(detailOf('amount minor 500, reason came late', 'USD')).toBe('$5.00, came late');
  });
});

describe('how an order stands', () => {
  it('tells a part refund from none and from all', () => {
    expect(stateWords(order({})).title).toBe('Thank you, it is yours');
    expect(stateWords(order({ refunded_minor: 500 })).title).toBe('Paid, refunded in part');
    expect(stateWords(order({ state: 'refunded', refunded_minor: 9490 })).title).toMatch(/on its way back/);
    expect(stateWords(order({ state: 'refunded', owed_minor: 9490 })).text).toMatch(/94[.,]90 could not be refunded/);
    expect(stateWords(order({ state: 'refunded', refunded_minor: 9000, repaid_minor: 490 })).text).toMatch(/94[.,]90, of it .*4[.,]90/);
  });
  it('says that a declined card was not charged', () => {
    expect(stateWords(order({ state: 'declined', failure_message: 'Insufficient funds.' })).text).toBe('Insufficient funds. You were not charged.');
    expect(stateWords(order({ state: 'declined', failure_message: 'Your card was declined.' })).text).toMatch(/gave no reason/);
    expect(stateWords(order({ state: 'declined', auction_id: 'a' })).text).toMatch(/next bidder/);
  });
});

describe('a session’s device', () => {
  it('is named as its owner would', () => {
    expect(deviceOf('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18 Mobile Safari/604')).toBe('Safari on iPhone');
    expect(deviceOf('Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36')).toBe('Chrome on Android');
    expect(deviceOf('Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537 Edg/140')).toBe('Edge on Windows');
  });
  it('is not guessed', () => {
    expect(deviceOf('Python-urllib/3.11')).toBe('Another program');
  });
});
