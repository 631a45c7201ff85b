import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Problem } from '../../core/problem.ts';
import type { RoomConnection } from '../../core/room.ts';
import { OpenOrders, place, type Tap } from '../../core/tap.ts';

const TAP: Tap = {
  show_id: 's1',
  lines: [{ variant_id: 'v1', quantity: 1, unit_price_minor: 1900 }],
  card_id: 'c1',
  address_id: 'a1',
  show_first_name: false,
};
const ORDER = { order_id: 'o1', state: 'charging', total_minor: 2400, currency: 'EUR' };

let kept: string;
let open: OpenOrders;
const posted: unknown[] = [];

const answering = (status: number, body: object) =>
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    posted.push(JSON.parse(String(init.body)));
    return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/problem+json' } });
  });
const roomThat = (send: RoomConnection['send'], status = 'open') => ({ status, send }) as unknown as RoomConnection;

beforeEach(() => {
  kept = '';
  posted.length = 0;
  open = new OpenOrders({ getItem: () => kept, setItem: (_, value) => void (kept = value) });
});
afterEach(() => vi.unstubAllGlobals());

describe('placing an order', () => {
  it('goes through the open room, with the order id as the command id', async () => {
    const sent: unknown[] = [];
    const room = roomThat(async (wish, id) => {
      sent.push([wish, id]);
      return { type: 'ack', id: id!, order: ORDER };
    });
    await expect(place(TAP, room, open, 'o1')).resolves.toEqual(ORDER);
    expect(sent).toEqual([[expect.objectContaining({ type: 'buy', order_id: 'o1', card_id: 'c1' }), 'o1']]);
    expect(open.list().map((row) => row.id)).toEqual(['o1']);
  });

  it('falls back to HTTP with the same id when the room does not answer', async () => {
    answering(202, ORDER);
    const room = roomThat(async () => {
      throw new Problem({ code: 'no_answer' });
    });
    await expect(place(TAP, room, open, 'o1')).resolves.toEqual(ORDER);
    expect(posted).toEqual([expect.objectContaining({ id: 'o1', show_id: 's1', lines: TAP.lines })]);
  });

  it('uses HTTP when the room is closed', async () => {
    answering(202, { ...ORDER, state: 'paid' });
    await place(TAP, roomThat(vi.fn(), 'reconnecting'), open, 'o1');
    expect(open.list()).toEqual([]);
  });

  it('a definite no leaves nothing open; no answer does', async () => {
    const no = roomThat(async () => {
      throw new Problem({ code: 'sold_out', lines: [{ variant_id: 'v1', code: 'sold_out', available: 0 }] });
    });
    await expect(place(TAP, no, open, 'o1')).rejects.toMatchObject({ code: 'sold_out', lines: [{ available: 0 }] });
    expect(open.list()).toEqual([]);
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('network');
    });
    await expect(place(TAP, null, open, 'o2')).rejects.toMatchObject({ code: 'offline' });
    expect(open.list().map((row) => row.id)).toEqual(['o2']);
  });

  it('reads problem details as they are', async () => {
    answering(409, { code: 'price_changed', detail: 'The price is 21.00 now.', lines: [{ variant_id: 'v1', code: 'price_changed', price_minor: 2100 }] });
    await expect(place(TAP, null, open)).rejects.toMatchObject({
      status: 409,
      code: 'price_changed',
      lines: [{ price_minor: 2100 }],
    });
  });
});
