/** An order's history and state, in words for the people it concerns. */

import { money } from '../core/format.ts';
import type { Order } from '../core/types.ts';

const HAPPENED: Record<string, string> = {
  placed: 'Ordered',
  action_needed: 'The bank asked for a confirmation',
  paid: 'Paid',
  declined: 'The card was declined',
  cancelled: 'Cancelled',
  retried: 'Tried again with another card',
  charge_repeated: 'The payment provider had a fault: nothing was taken, charging again',
  fulfilled: 'Sent',
  refund_asked: 'Refund started',
  refund_failed: 'A refund did not go through',
  refund_repeated: 'The payment provider had a fault: the refund starts again',
  refunded_in_part: 'Refunded in part',
  refunded: 'Refunded',
  refund_came_back: 'The bank sent a refund back to the shop',
  refund_unsure: 'Whether a refund went out is not certain: look at the payment in Stripe',
  owed_paid: 'Paid back in another way',
  extra_payment: 'A second payment arrived',
  extra_payment_returned: 'The second payment was returned',
};

/** "refund_asked" → "Refund started"; a kind not known here is still readable. */
export function happened(kind: string): string {
  const words = HAPPENED[kind] ?? kind.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The server's detail as people say it: "amount minor 500, reason late" → "€5.00, late". Which attempt it was is left out. */
export function detailOf(detail: string, currency: string): string {
  return detail
    .split(', ')
    .filter((part) => !/^attempt \d+$/.test(part))
    .map((part) => {
      const amount = /^(?:total|amount) minor (\d+)$/.exec(part);
      if (amount) return money(Number(amount[1]), currency);
      return part.replace(/^(reason|message) /, '').replace(/^code ([a-z_]+)$/, (_, code: string) => code.replaceAll('_', ' '));
    })
    .join(', ');
}

/** Why a card was declined; a message that only says that it was is no reason. */
function reasonOf(order: Order): string {
  const message = order.failure_message;
  return !message || /^your card was declined\.?$/i.test(message) ? 'The bank gave no reason.' : message;
}

export interface StateWords {
  title: string;
  text: string;
}

/** The one thing its buyer wants to know. */
export function stateWords(order: Order): StateWords {
  const total = money(order.total_minor, order.currency);
  switch (order.state) {
    case 'charging':
      return { title: 'It is reserved for you', text: `${total} is being charged. This takes a few seconds.` };
    case 'action_needed':
      return { title: 'Your bank wants to make sure it is you', text: 'It is reserved for you meanwhile. Confirm the payment to finish.' };
    case 'paid':
      return order.refunded_minor > 0
        ? { title: 'Paid, refunded in part', text: `${money(order.refunded_minor, order.currency)} went back to your card.` }
        : { title: 'Thank you, it is yours', text: `${total} paid. You get a mail when it is on its way.` };
    case 'fulfilled':
      return { title: 'It is on its way', text: `${total} paid, and sent to your address.` };
    case 'declined':
      return { title: 'The card was declined', text: `${reasonOf(order)} You were not charged.${order.auction_id ? ' The unit goes to the next bidder.' : ''}` };
    case 'cancelled':
      return { title: 'This order was cancelled', text: 'You were not charged.' };
    case 'refunded':
      if (order.owed_minor > 0)
        return { title: 'Your bank sent the refund back', text: `${money(order.owed_minor, order.currency)} could not be refunded to your card. The shop will get in touch.` };
      if (order.repaid_minor > 0)
        return { title: 'Your money was paid back', text: `${money(order.refunded_minor + order.repaid_minor, order.currency)}, of it ${money(order.repaid_minor, order.currency)} in another way than to your card.` };
      return { title: 'Your money is on its way back', text: `${money(order.refunded_minor, order.currency)} was refunded. Banks take up to ten days to show it.` };
  }
}
