/**
 * The payment seam: how a card is saved and how a bank's question is answered, whoever the provider is.
 *
 * The server's configuration decides; each provider is loaded only when needed. Card data never passes through our
 * servers: the provider's own field or, in the demo, a choice of test cards without any number.
 */

import { Problem } from '../problem.ts';
import type { CardSetup, Config } from '../types.ts';

export type Outcome = { ok: true } | { ok: false; code: string; message: string };

export interface CardForm {
  /** Saves the card with the provider. Afterwards `setup_intent` goes to our server. */
  confirm(): Promise<Outcome>;
  unmount(): void;
}

export interface PaymentUi {
  readonly realMoney: boolean;
  /** Puts the card form into `element`. Throws Problem where the provider cannot be reached. */
  mount(element: HTMLElement, setup: CardSetup): Promise<CardForm>;
  /** 3-D Secure for a payment: the bank asks, the buyer answers. */
  authenticate(clientSecret: string): Promise<Outcome>;
}

export async function paymentUi(payments: Config['payments']): Promise<PaymentUi> {
  if (payments.provider === 'demo') {
    if (/^pk_live/.test(payments.publishable_key)) throw liveKeyInDemo();
    const { DemoPayments } = await import('./demo.ts');
    return new DemoPayments(payments.api_url ?? '', payments.publishable_key);
  }
  const { StripePayments } = await import('./stripe.ts');
  return new StripePayments(payments.publishable_key);
}

function liveKeyInDemo(): Problem {
  return new Problem({
    code: 'live_key_in_demo',
    detail: 'This shop is set to demo payments but holds a live key.',
    what_to_do: 'Tell the shop: its settings need a look.',
  });
}
