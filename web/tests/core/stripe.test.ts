// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from 'vitest';

const element = { mount: vi.fn(), destroy: vi.fn() };
const elements = { create: vi.fn(() => element) };
const stripe = { elements: vi.fn(() => elements), confirmSetup: vi.fn(), handleNextAction: vi.fn() };
const loadStripe = vi.fn();
vi.mock('@stripe/stripe-js/pure', () => ({ loadStripe }));

const { paymentUi } = await import('../../core/payment/index.ts');
const SETUP = { setup_intent: 'seti_1', client_secret: 'seti_1_secret_x', publishable_key: 'pk_test_1' };
const open = () => paymentUi({ provider: 'stripe', publishable_key: 'pk_test_1' });

beforeEach(() => {
  vi.clearAllMocks();
  loadStripe.mockResolvedValue(stripe);
});

describe('Stripe payments', () => {
  it('load nothing from Stripe before a card is asked for', async () => {
    const ui = await open();
    expect(loadStripe).not.toHaveBeenCalled();
    expect(ui.realMoney).toBe(false);
    expect((await paymentUi({ provider: 'stripe', publishable_key: 'pk_live_1' })).realMoney).toBe(true);
  });

  it('save a card with Stripe’s own fields, without leaving the page', async () => {
    stripe.confirmSetup.mockResolvedValue({ setupIntent: { status: 'succeeded' } });
    const box = document.createElement('div');
    const form = await (await open()).mount(box, SETUP);
    expect(loadStripe).toHaveBeenCalledWith('pk_test_1');
    expect(stripe.elements).toHaveBeenCalledWith(expect.objectContaining({ clientSecret: SETUP.client_secret }));
    expect(elements.create).toHaveBeenCalledWith('payment', expect.anything());
    expect(element.mount).toHaveBeenCalledWith(box);
    expect(await form.confirm()).toEqual({ ok: true });
    expect(stripe.confirmSetup).toHaveBeenCalledWith(expect.objectContaining({ elements, redirect: 'if_required' }));
    form.unmount();
    expect(element.destroy).toHaveBeenCalled();
  });

  it('pass on a decline and the bank’s question', async () => {
    stripe.confirmSetup.mockResolvedValue({ error: { type: 'card_error', code: 'card_declined', message: 'Declined.' } });
    stripe.handleNextAction.mockResolvedValue({ paymentIntent: { status: 'succeeded' } });
    const ui = await open();
    const form = await ui.mount(document.createElement('div'), SETUP);
    expect(await form.confirm()).toEqual({ ok: false, code: 'card_declined', message: 'Declined.' });
    expect(await ui.authenticate('pi_1_secret_y')).toEqual({ ok: true });
    expect(stripe.handleNextAction).toHaveBeenCalledWith({ clientSecret: 'pi_1_secret_y' });
  });

  it('say so when Stripe cannot be reached, and try again the next time', async () => {
    loadStripe.mockRejectedValueOnce(new Error('blocked'));
    const ui = await open();
    await expect(ui.authenticate('pi_1_secret_y')).rejects.toMatchObject({ code: 'payments_unreachable' });
    stripe.handleNextAction.mockResolvedValue({});
    expect(await ui.authenticate('pi_1_secret_y')).toEqual({ ok: true });
  });
});
