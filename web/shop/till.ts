/** The shop's place to buy: the viewer's checkout without a room, over HTTP. */

import { signal } from '@preact/signals';
import { me } from '../ui/session.ts';
import { Checkout, type CheckoutPlace, type CheckoutSheetPlace } from '../show/checkout.ts';

export class Till implements CheckoutPlace, CheckoutSheetPlace {
  readonly showId = null;
  readonly connection = null;
  readonly mediaTime = { rtp: null };
  readonly bag = { remove: () => undefined };
  readonly sheet = signal<'checkout' | 'sign-in' | null>(null);
  readonly checkout = new Checkout(this);
  #wanted: (() => void) | null = null;

  open(sheet: 'checkout' | null): void {
    const wanted = me.value ? this.#wanted : null;
    this.#wanted = null;
    this.sheet.value = sheet;
    wanted?.();
  }

  /** For what a guest tapped: it is done once they are signed in, unless they turn away. */
  signInFirst(then: () => void): void {
    this.#wanted = then;
    this.sheet.value = 'sign-in';
  }
}
