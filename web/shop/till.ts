/** The shop's place to buy: the viewer's checkout without a room, over HTTP. */

import { signal } from '@preact/signals';
import { Checkout, type CheckoutPlace, type CheckoutSheetPlace } from '../show/checkout.ts';

export class Till implements CheckoutPlace, CheckoutSheetPlace {
  readonly showId = null;
  readonly connection = null;
  readonly mediaTime = { rtp: null };
  readonly bag = { remove: () => undefined };
  readonly sheet = signal<'checkout' | null>(null);
  readonly checkout = new Checkout(this);

  open(sheet: 'checkout' | null): void {
    this.sheet.value = sheet;
  }
}
