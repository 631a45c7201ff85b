/** What can be bought, as it is now: a product of the show or a pin, with the room's latest prices and stock. Pure. */

import type { BuyLine, ProductCard, VariantCard } from './protocol.ts';
import type { RoomState } from './room-state.ts';
import { flashed } from './selling.ts';
import type { Config, Product } from './types.ts';

export type LiveValues = Pick<RoomState, 'stock' | 'prices'> & Partial<Pick<RoomState, 'flashes'>>;

/** A product of the API in the shape of a pin. */
export function cardOf(product: Product, currency: string): ProductCard {
  const image = product.images[0];
  return {
    product_id: product.id,
    title: product.title,
    currency,
    image_url: image?.url ?? null,
    image_alt: image?.alt ?? '',
    handle: product.handle,
    variants: product.variants.map(({ id, title, price_minor, available, compare_at_minor, buyer_limit }) => ({
      variant_id: id,
      title,
      price_minor,
      available,
      compare_at_minor: compare_at_minor ?? null,
      buyer_limit,
    })),
  };
}

/** The same card with what the room has said since, and without flash prices that are over at `nowMs`. */
export function live(card: ProductCard, { stock, prices, flashes }: LiveValues, nowMs = 0): ProductCard {
  const variants = card.variants.map((variant) => {
    const { variant_id } = variant;
    const told = { ...variant, ...prices[variant_id], available: stock[variant_id] ?? variant.available };
    return flashed(told, flashes?.[variant_id], nowMs);
  });
  return { ...card, variants };
}

export const availableIn = (card: ProductCard): number =>
  card.variants.reduce((sum, variant) => sum + Math.max(0, variant.available), 0);

/** The chosen variant where it still is one, else the first that can be bought, else the first. */
export function chosen(card: ProductCard, variantId: string | undefined): VariantCard | undefined {
  return (
    card.variants.find((variant) => variant.variant_id === variantId) ??
    card.variants.find((variant) => variant.available > 0) ??
    card.variants[0]
  );
}

/** The most units one tap may ask for: what is left, the buyer's limit, the protocol's 99. */
export function mostOf(variant: VariantCard): number {
  const limit = variant.buyer_limit ? variant.buyer_limit : 99;
  return Math.max(0, Math.min(variant.available, limit, 99));
}

/** "Default Title" is what a product without options calls its only variant (Shopify's habit). */
export const isPlain = (card: ProductCard): boolean => card.variants.length <= 1;

export interface Totals {
  goods_minor: number;
  shipping_minor: number;
  total_minor: number;
}

/** What an order of these lines costs: prices include tax, shipping is flat an order. */
export function totals(lines: readonly BuyLine[], shop: Config['shop'] | undefined): Totals {
  const goods_minor = lines.reduce((sum, line) => sum + line.unit_price_minor * line.quantity, 0);
  const shipping_minor = lines.length ? (shop?.flat_shipping_minor ?? 0) : 0;
  return { goods_minor, shipping_minor, total_minor: goods_minor + shipping_minor };
}
