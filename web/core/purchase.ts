/**
 * One purchase as its buyer sees it. Pure.
 *
 *   idle → placing → charging → paid
 *             │          ├────→ declined      another card: a new purchase
 *             │          ├────→ action ─────→ charging …   the bank asks, the buyer answers
 *             │          └────→ cancelled
 *             ├→ refused     sold out, limit, price: nothing was ordered
 *             └→ unknown     no answer: the same id again
 *
 * Only what the server says moves it on; an answer about another order is not ours.
 */

import type { BuyLine, OrderView } from './protocol.ts';
import { Problem } from './problem.ts';

export interface Line extends BuyLine {
  title: string;
  /** A waitlist's offer that keeps these units for this person. */
  offer_id?: string | null;
}

export type Purchase =
  | { step: 'idle' }
  | { step: 'placing'; orderId: string; lines: Line[] }
  | { step: 'unknown'; orderId: string; lines: Line[]; problem: Problem }
  | { step: 'refused'; lines: Line[]; problem: Problem }
  | { step: 'charging' | 'action' | 'paid' | 'declined' | 'cancelled'; orderId: string; lines: Line[]; order: OrderView };

export const IDLE: Purchase = { step: 'idle' };

const STEP_OF: Record<string, 'charging' | 'action' | 'paid' | 'declined' | 'cancelled'> = {
  charging: 'charging',
  action_needed: 'action',
  paid: 'paid',
  fulfilled: 'paid',
  refunded: 'paid',
  declined: 'declined',
  cancelled: 'cancelled',
};

const OVER = new Set(['paid', 'declined', 'cancelled']);

/** News of an order, from the ack, the room or HTTP; late or repeated news never takes a finished purchase back. */
export function afterNews(purchase: Purchase, order: OrderView): Purchase {
  if (!('orderId' in purchase) || purchase.orderId !== order.order_id) return purchase;
  const step = STEP_OF[order.state];
  if (!step || (OVER.has(purchase.step) && !OVER.has(step))) return purchase;
  return { step, orderId: purchase.orderId, lines: purchase.lines, order };
}

const NO_ANSWER = new Set(['no_answer', 'offline', 'unavailable', 'server_error']);

export function afterProblem(purchase: Purchase, problem: Problem): Purchase {
  if (purchase.step !== 'placing') return purchase;
  const { lines, orderId } = purchase;
  return NO_ANSWER.has(problem.code) ? { step: 'unknown', orderId, lines, problem } : { step: 'refused', lines, problem };
}

/** What the buyer could order instead after a refusal: the new price, or as many as are left; null where nothing. */
export function instead(purchase: Purchase): Line[] | null {
  if (purchase.step !== 'refused') return null;
  const { code, lines: truths } = purchase.problem;
  if (!['sold_out', 'price_changed', 'buyer_limit'].includes(code)) return null;
  const lines = purchase.lines.flatMap((line) => {
    const truth = truths.find((candidate) => candidate.variant_id === line.variant_id);
    if (!truth) return [line];
    // A limit counts what was bought before, which the answer does not tell: no guess is offered.
    if (truth.code === 'buyer_limit') return [];
    const quantity = truth.code === 'sold_out' ? Math.min(line.quantity, truth.available ?? 0) : line.quantity;
    return quantity > 0 ? [{ ...line, quantity, unit_price_minor: truth.price_minor ?? line.unit_price_minor }] : [];
  });
  const same = lines.length === purchase.lines.length && lines.every((line, at) => {
    const before = purchase.lines[at]!;
    return line.quantity === before.quantity && line.unit_price_minor === before.unit_price_minor;
  });
  return lines.length && !same ? lines : null;
}

export const titles = (lines: readonly Line[]): string =>
  lines.map((line) => (line.quantity > 1 ? `${line.quantity} × ${line.title}` : line.title)).join(', ');
