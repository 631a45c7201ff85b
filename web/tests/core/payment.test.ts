// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { paymentUi } from '../../core/payment/index.ts';

const DEMO = { provider: 'demo' as const, publishable_key: 'pk_test_demo', api_url: 'http://simulator.test/' };
const SETUP = { setup_intent: 'seti_1', client_secret: 'seti_1_secret_x', publishable_key: 'pk_test_demo' };
const posted: [string, Record<string, string>][] = [];
const answers: object[] = [];

beforeEach(() => {
  posted.length = answers.length = 0;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    posted.push([url, Object.fromEntries(init.body as URLSearchParams)]);
    return new Response(JSON.stringify(answers.shift() ?? { status: 'succeeded' }));
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

async function form() {
  const box = document.createElement('div');
  document.body.append(box);
  const ui = await paymentUi(DEMO);
  return { box, ui, mounted: await ui.mount(box, SETUP) };
}
const press = async (testid: string) => {
  await vi.waitFor(() => expect(document.querySelector(`[data-testid=${testid}]`)).not.toBeNull());
  document.querySelector<HTMLButtonElement>(`[data-testid=${testid}]`)!.click();
};

describe('demo payments', () => {
  it('say that no money moves, and ask for no number', async () => {
    const { box, ui } = await form();
    expect(ui.realMoney).toBe(false);
    expect(box.textContent).toContain('Test mode: no money moves');
    expect([...box.querySelectorAll('input')].every((input) => input.type === 'radio')).toBe(true);
  });

  it('save the chosen test card with the publishable key', async () => {
    const { box, mounted } = await form();
    box.querySelector<HTMLInputElement>('[value=pm_card_mastercard]')!.checked = true;
    expect(await mounted.confirm()).toEqual({ ok: true });
    expect(posted).toEqual([
      [
        'http://simulator.test/v1/setup_intents/seti_1/confirm',
        { key: 'pk_test_demo', client_secret: 'seti_1_secret_x', payment_method: 'pm_card_mastercard' },
      ],
    ]);
  });

  it('pass on what the bank says when a card cannot be saved', async () => {
    answers.push({ error: { code: 'card_declined', message: 'Your card was declined.' } });
    const { mounted } = await form();
    expect(await mounted.confirm()).toEqual({ ok: false, code: 'card_declined', message: 'Your card was declined.' });
  });

  it('ask the buyer where the bank asks: approve and refuse', async () => {
    answers.push({ status: 'requires_action' }, { status: 'succeeded' });
    const { ui, mounted } = await form();
    const saved = mounted.confirm();
    await press('bank-approve');
    expect(await saved).toEqual({ ok: true });
    answers.push({ status: 'requires_payment_method', last_payment_error: { code: 'no', message: 'Refused.' } });
    const paid = ui.authenticate('pi_9_secret_y');
    await press('bank-refuse');
    expect(await paid).toEqual({ ok: false, code: 'no', message: 'Refused.' });
    expect(posted.slice(1).map(([url, sent]) => [url, sent['outcome']])).toEqual([
      ['http://simulator.test/_3ds/seti_1', 'approve'],
      ['http://simulator.test/_3ds/pi_9', 'refuse'],
    ]);
  });

  it('refuse a live key', async () => {
    await expect(paymentUi({ ...DEMO, publishable_key: 'pk_live_1' })).rejects.toMatchObject({ code: 'live_key_in_demo' });
  });

  it('say so when the service is away', async () => {
    vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('network')));
    const { mounted } = await form();
    await expect(mounted.confirm()).rejects.toMatchObject({ code: 'payments_unreachable' });
  });
});
