/**
 * One tap, from here to a durable order.
 *
 * The order id is made here and kept in the browser until the order is over: whatever breaks on the way, the same id
 * is sent again, and the server does it once. Through the room where it is open, else over HTTP.
 */

import { api } from './api.ts';
import type { BuyLine, OrderView } from './protocol.ts';
import { Problem } from './problem.ts';
import type { RoomConnection } from './room.ts';
import type { Order } from './types.ts';
import { uuidv7 } from './uuidv7.ts';

export interface Tap {
  show_id: string | null;
  lines: BuyLine[];
  card_id: string | null;
  address_id: string | null;
  show_first_name: boolean;
  media_time?: number | null;
  /** A waitlist's offer: the units kept for this person. */
  offer_id?: string | null;
}

export const OVER: ReadonlySet<string> = new Set(['paid', 'declined', 'cancelled', 'fulfilled', 'refunded']);

const KEY = 'hawker-orders-open';
const KEPT_FOR_MS = 3 * 86_400_000;
const ROOM_DEADLINE_MS = 6_000;

interface OpenOrder {
  id: string;
  at: number;
}

export class OpenOrders {
  constructor(
    private readonly storage: Pick<Storage, 'getItem' | 'setItem'>,
    private readonly now: () => number = Date.now,
  ) {}

  list(): OpenOrder[] {
    try {
      const rows = JSON.parse(this.storage.getItem(KEY) ?? '[]') as OpenOrder[];
      return rows.filter((row) => this.now() - row.at < KEPT_FOR_MS).slice(-20);
    } catch {
      return [];
    }
  }

  add(id: string): void {
    this.#write([...this.list(), { id, at: this.now() }]);
  }

  remove(id: string): void {
    this.#write(this.list().filter((row) => row.id !== id));
  }

  #write(rows: OpenOrder[]): void {
    try {
      this.storage.setItem(KEY, JSON.stringify(rows));
    } catch {
      // Storage full or forbidden: the order itself is safe on the server.
    }
  }
}

/** Places an order. Resolves once it is durable; rejects with Problem (a refusal's code and lines, or no answer). */
export async function place(tap: Tap, room: RoomConnection | null, open: OpenOrders, orderId = uuidv7()): Promise<OrderView> {
  open.add(orderId);
  try {
    const order = await send(tap, room, orderId);
    if (OVER.has(order.state)) open.remove(orderId);
    return order;
  } catch (error) {
    // A definite no leaves nothing behind; without an answer the id stays, to be asked about.
    if (error instanceof Problem && !UNDECIDED.has(error.code)) open.remove(orderId);
    throw error;
  }
}

const UNDECIDED = new Set(['no_answer', 'offline', 'server_error', 'unavailable']);

async function send(tap: Tap, room: RoomConnection | null, orderId: string): Promise<OrderView> {
  if (room?.status === 'open') {
    try {
      const { show_id: _, ...wish } = tap;
      const ack = await room.send({ type: 'buy', order_id: orderId, ...wish }, orderId, ROOM_DEADLINE_MS);
      if (ack.order) return ack.order;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'no_answer') throw error;
    }
  }
  const { media_time: _, ...rest } = tap;
  return api.buy({ id: orderId, ...rest });
}

/** An order over HTTP in the shape the room tells it. */
export function viewOf(order: Order): OrderView {
  return {
    order_id: order.id,
    state: order.state,
    total_minor: order.total_minor,
    currency: order.currency,
    code: order.failure_code ?? null,
    message: order.failure_message ?? null,
    client_secret: order.client_secret ?? null,
  };
}

/**
 * Asks about an order until it is over or needs its buyer: the room's news may be lost in an outage.
 * Resolves null when `signal` ends the wait.
 */
export async function follow(orderId: string, signal: AbortSignal, onNews: (order: OrderView) => void): Promise<void> {
  for (let delayMs = 1_500; !signal.aborted; delayMs = Math.min(delayMs * 1.5, 10_000)) {
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (signal.aborted) return;
    try {
      const order = viewOf(await api.order(orderId, { signal }));
      onNews(order);
      if (OVER.has(order.state) || order.state === 'action_needed') return;
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return;
    }
  }
}
