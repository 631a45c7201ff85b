/** Stripe payments: Stripe's own script and fields, loaded from Stripe when a card is saved or a bank asks. */

import { loadStripe } from '@stripe/stripe-js/pure';
import type { Stripe, StripeError } from '@stripe/stripe-js';
import { Problem } from '../problem.ts';
import type { CardSetup } from '../types.ts';
import type { CardForm, Outcome, PaymentUi } from './index.ts';

export class StripePayments implements PaymentUi {
  readonly realMoney: boolean;
  #stripe: Promise<Stripe> | null = null;

  constructor(private readonly key: string) {
    this.realMoney = key.startsWith('pk_live');
  }

  async mount(element: HTMLElement, setup: CardSetup): Promise<CardForm> {
    const stripe = await this.#load();
    const elements = stripe.elements({ clientSecret: setup.client_secret, appearance: appearance() });
    const payment = elements.create('payment', { layout: 'tabs' });
    payment.mount(element);
    return {
      confirm: async () => {
        const { error } = await stripe.confirmSetup({
          elements,
          redirect: 'if_required',
          confirmParams: { return_url: location.href },
        });
        return outcomeOf(error);
      },
      unmount: () => payment.destroy(),
    };
  }

  async authenticate(clientSecret: string): Promise<Outcome> {
    const stripe = await this.#load();
    const { error } = await stripe.handleNextAction({ clientSecret });
    return outcomeOf(error);
  }

  #load(): Promise<Stripe> {
    this.#stripe ??= loadStripe(this.key).then(
      (stripe) => stripe ?? Promise.reject(unreachable()),
      () => Promise.reject(unreachable()),
    );
    this.#stripe.catch(() => (this.#stripe = null));
    return this.#stripe;
  }
}

function outcomeOf(error: StripeError | undefined): Outcome {
  if (!error) return { ok: true };
  return { ok: false, code: error.code ?? error.type, message: error.message ?? 'The card was not confirmed.' };
}

function unreachable(): Problem {
  return new Problem({
    code: 'payments_unreachable',
    detail: 'The payment provider cannot be reached.',
    what_to_do: 'Nothing was charged. Check your connection or a content blocker, then try again.',
  });
}

/** Stripe draws in its own frame: it is told our colours as they are now. */
function appearance() {
  const probe = document.createElement('span');
  document.body.append(probe);
  const colour = (token: string) => {
    probe.style.color = `var(--${token})`;
    return getComputedStyle(probe).color;
  };
  const variables = {
    colorPrimary: colour('action'),
    colorBackground: colour('surface'),
    colorText: colour('ink'),
    colorDanger: colour('danger'),
    borderRadius: '12px',
    fontSizeBase: '16px',
  };
  probe.remove();
  return { theme: 'stripe' as const, variables };
}
