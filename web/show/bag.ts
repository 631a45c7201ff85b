import { computed, signal } from '@preact/signals';

/** What a viewer put aside in this show: variant ids and quantities, kept in the browser. It reserves nothing. */
export class Bag {
  readonly quantities = signal<Readonly<Record<string, number>>>({});
  readonly count = computed(() => Object.values(this.quantities.value).reduce((sum, quantity) => sum + quantity, 0));
  readonly #key: string;

  constructor(showId: string) {
    this.#key = `hawker-bag-${showId}`;
    try {
      this.quantities.value = JSON.parse(localStorage.getItem(this.#key) ?? '{}');
    } catch {
      // Forbidden or spoilt storage: an empty bag.
    }
  }

  add(variantId: string, quantity: number): void {
    this.set(variantId, (this.quantities.value[variantId] ?? 0) + quantity);
  }

  /** 0 takes it out. */
  set(variantId: string, quantity: number): void {
    const { [variantId]: _, ...rest } = this.quantities.value;
    this.#keep(quantity > 0 ? { ...rest, [variantId]: Math.min(99, quantity) } : rest);
  }

  /** Takes out what was bought. */
  remove(variantIds: readonly string[]): void {
    this.#keep(Object.fromEntries(Object.entries(this.quantities.value).filter(([id]) => !variantIds.includes(id))));
  }

  #keep(quantities: Record<string, number>): void {
    this.quantities.value = quantities;
    try {
      localStorage.setItem(this.#key, JSON.stringify(quantities));
    } catch {
      // The bag lives as long as the page.
    }
  }
}
