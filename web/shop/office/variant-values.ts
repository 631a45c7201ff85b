/** A variant as text in fields, and back to numbers; what is wrong is told by field. Pure. */

import { moneyInput, parseMoney } from '../../core/format.ts';
import type { Variant } from '../../core/types.ts';
import type { NewVariant } from './staff.ts';

export interface VariantText {
  title: string;
  sku: string;
  price: string;
  compareAt: string;
  stock: string;
  limit: string;
}

export const BLANK: VariantText = { title: '', sku: '', price: '', compareAt: '', stock: '0', limit: '' };

const MOST_UNITS = 1_000_000;
const MOST_LIMIT = 1_000;

/** While a flash price runs, `price` is the usual one; the price before it can't be told. */
export function savedOf(variant: Variant): NewVariant {
  const { flash, title, sku = '', price_minor, compare_at_minor = null, buyer_limit, available } = variant;
  const prices = flash ? { price_minor: flash.was_minor, compare_at_minor: null } : { price_minor, compare_at_minor };
  return { title, sku: sku ?? '', ...prices, buyer_limit, available };
}

export function textOf(variant: Variant, currency: string): VariantText {
  const saved = savedOf(variant);
  return {
    title: saved.title,
    sku: saved.sku,
    price: moneyInput(saved.price_minor, currency),
    compareAt: saved.compare_at_minor === null ? '' : moneyInput(saved.compare_at_minor, currency),
    stock: String(saved.available),
    limit: saved.buyer_limit ? String(saved.buyer_limit) : '',
  };
}

export type Faults = Partial<Record<keyof VariantText, string>>;

/** Either the values or, by field, what is wrong with the text. */
export function valuesOf(text: VariantText, currency: string): { values: NewVariant } | { faults: Faults } {
  const faults: Faults = {};
  const price = parseMoney(text.price, currency);
  if (price === null) faults.price = 'An amount, like 19.90.';
  const compareAt = text.compareAt.trim() ? parseMoney(text.compareAt, currency) : null;
  if (text.compareAt.trim() && compareAt === null) faults.compareAt = 'An amount, or empty.';
  else if (compareAt !== null && price !== null && compareAt <= price) faults.compareAt = 'More than the price, or empty.';
  const stock = wholeNumber(text.stock, MOST_UNITS);
  if (stock === null) faults.stock = 'A whole number from 0.';
  const limit = text.limit.trim() ? wholeNumber(text.limit, MOST_LIMIT) : 0;
  if (limit === null) faults.limit = `A whole number up to ${MOST_LIMIT}, or empty.`;
  if (Object.keys(faults).length) return { faults };
  return {
    values: {
      title: text.title.trim(),
      sku: text.sku.trim(),
      price_minor: price!,
      compare_at_minor: compareAt,
      buyer_limit: limit!,
      available: stock!,
    },
  };
}

const VALUE_OF: Record<keyof VariantText, keyof NewVariant> = {
  title: 'title',
  sku: 'sku',
  price: 'price_minor',
  compareAt: 'compare_at_minor',
  stock: 'available',
  limit: 'buyer_limit',
};

/** The values of those fields whose text was changed. */
export function changedIn(text: VariantText, before: VariantText, values: NewVariant): Partial<NewVariant> {
  const names = (Object.keys(VALUE_OF) as (keyof VariantText)[]).filter((name) => text[name] !== before[name]);
  return Object.fromEntries(names.map((name) => [VALUE_OF[name], values[VALUE_OF[name]]]));
}

function wholeNumber(text: string, most: number): number | null {
  const number = /^\d{1,7}$/.test(text.trim()) ? Number(text) : null;
  return number !== null && number <= most ? number : null;
}
