/**
 * Demo payments: Stripe's named test cards against the payment simulator. No number is ever asked for, no money moves,
 * and both are said loudly.
 */

import { Problem } from '../problem.ts';
import type { CardSetup } from '../types.ts';
import type { CardForm, Outcome, PaymentUi } from './index.ts';

const DEADLINE_MS = 15_000;

const TEST_CARDS = [
  ['pm_card_visa', 'Visa ·· 4242', 'Pays'],
  ['pm_card_mastercard', 'Mastercard ·· 4444', 'Pays'],
  ['pm_card_authenticationRequired', 'Visa ·· 3184', 'The bank asks for confirmation every time'],
  ['pm_card_chargeCustomerFail', 'Visa ·· 0341', 'Can be saved, then declines'],
  ['pm_sim_savedInsufficientFunds', 'Visa ·· 1995', 'Can be saved, then has insufficient funds'],
  ['pm_card_visa_chargeDeclined', 'Visa ·· 0002', 'Is declined at once'],
] as const;

interface Intent {
  id: string;
  status: string;
  last_setup_error?: { code?: string; message?: string } | null;
  last_payment_error?: { code?: string; message?: string } | null;
  error?: { code?: string; message?: string };
}

export class DemoPayments implements PaymentUi {
  readonly realMoney = false;

  constructor(
    private readonly apiUrl: string,
    private readonly key: string,
  ) {}

  async mount(element: HTMLElement, setup: CardSetup): Promise<CardForm> {
    const form = cardChoice();
    element.replaceChildren(form.root);
    return {
      confirm: () => this.#save(setup, form.chosen()),
      unmount: () => form.root.remove(),
    };
  }

  async authenticate(clientSecret: string): Promise<Outcome> {
    const approved = await askBank('Approve this payment?');
    const intent = await this.#post(`/_3ds/${idOf(clientSecret)}`, {
      client_secret: clientSecret,
      outcome: approved ? 'approve' : 'refuse',
    });
    return outcomeOf(intent);
  }

  async #save(setup: CardSetup, paymentMethod: string): Promise<Outcome> {
    const intent = await this.#post(`/v1/setup_intents/${setup.setup_intent}/confirm`, {
      client_secret: setup.client_secret,
      payment_method: paymentMethod,
    });
    if (intent.status !== 'requires_action') return outcomeOf(intent);
    const approved = await askBank('Confirm that this is your card?');
    return outcomeOf(
      await this.#post(`/_3ds/${setup.setup_intent}`, {
        client_secret: setup.client_secret,
        outcome: approved ? 'approve' : 'refuse',
      }),
    );
  }

  async #post(path: string, form: Record<string, string>): Promise<Intent> {
    try {
      const response = await fetch(this.apiUrl.replace(/\/$/, '') + path, {
        method: 'POST',
        // A plain form, as Stripe's own page script sends it: no preflight.
        body: new URLSearchParams({ key: this.key, ...form }),
        signal: AbortSignal.timeout(DEADLINE_MS),
        credentials: 'omit',
      });
      return (await response.json()) as Intent;
    } catch {
      throw new Problem({
        code: 'payments_unreachable',
        detail: 'The demo payment service cannot be reached.',
        what_to_do: 'Nothing was charged. Try again in a moment.',
      });
    }
  }
}

/** `seti_1_secret_2` → `seti_1`, as Stripe's own library reads it. */
export const idOf = (clientSecret: string): string => clientSecret.split('_secret_')[0]!;

function outcomeOf(intent: Intent): Outcome {
  if (['succeeded', 'processing', 'requires_capture'].includes(intent.status)) return { ok: true };
  const error = intent.error ?? intent.last_setup_error ?? intent.last_payment_error;
  return { ok: false, code: error?.code ?? 'not_confirmed', message: error?.message ?? 'The card was not confirmed.' };
}

// --- the demo's own two pieces of page, without any framework -----------------------------------------------------

function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function banner(): HTMLElement {
  return make(
    'div',
    { className: 'test-mode' },
    make('strong', {}, 'Test mode: no money moves'),
    'Choose a test card. Never enter a real one anywhere in this demo.',
  );
}

function cardChoice(): { root: HTMLElement; chosen: () => string } {
  const options = TEST_CARDS.map(([value, title, meaning], index) => {
    const input = make('input', { type: 'radio', name: 'test-card', value, checked: index === 0 });
    input.dataset['testid'] = `test-card-${value}`;
    return make('label', {}, input, make('span', {}, title, make('small', {}, meaning)));
  });
  const choice = make('fieldset', { className: 'test-cards' }, make('legend', {}, 'Test card'), ...options);
  const root = make('div', {}, banner(), choice);
  root.dataset['testid'] = 'demo-card-form';
  return { root, chosen: () => root.querySelector<HTMLInputElement>('input:checked')!.value };
}

/** The demo's bank. Closing it is a refusal. */
function askBank(question: string): Promise<boolean> {
  const approve = make('button', { className: 'button primary l', type: 'button', autofocus: true }, 'Approve');
  const refuse = make('button', { className: 'button secondary l', type: 'button' }, 'Refuse');
  approve.dataset['testid'] = 'bank-approve';
  refuse.dataset['testid'] = 'bank-refuse';
  const title = make('h2', { id: 'bank-title' }, question);
  const dialog = make(
    'dialog',
    { className: 'dialog size-s bank' },
    make(
      'div',
      { className: 'dialog-box' },
      make('header', { className: 'dialog-head' }, title),
      make(
        'div',
        { className: 'dialog-body stack' },
        make(
          'div',
          { className: 'test-mode' },
          make('strong', {}, 'Test mode: no money moves'),
          'This stands in for your bank’s confirmation (3-D Secure).',
        ),
      ),
      make('footer', { className: 'dialog-foot' }, approve, refuse),
    ),
  );
  dialog.setAttribute('aria-labelledby', 'bank-title');
  dialog.dataset['testid'] = 'bank';
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = (approved: boolean) => {
      dialog.remove();
      resolve(approved);
    };
    approve.onclick = () => answer(true);
    refuse.onclick = () => answer(false);
    dialog.oncancel = () => answer(false);
  });
}
