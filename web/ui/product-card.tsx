import type { ComponentChildren } from 'preact';
import type { Product } from '../core/types.ts';
import { Price, Stock } from './money.tsx';
import { Picture } from './picture.tsx';

/** The cheapest price, and whether others cost more. */
export function priceOf(product: Product): { minor: number; compareAtMinor: number | null; from: boolean } {
  const sorted = [...product.variants].sort((a, b) => a.price_minor - b.price_minor);
  const first = sorted[0];
  if (!first) return { minor: 0, compareAtMinor: null, from: false };
  return {
    minor: first.price_minor,
    compareAtMinor: first.compare_at_minor ?? null,
    from: sorted[sorted.length - 1]!.price_minor > first.price_minor,
  };
}

export const availableOf = (product: Product) => product.variants.reduce((sum, variant) => sum + variant.available, 0);

/** A product as a tile (storefront) or a row (run-of-show, bag). */
export function ProductCard(props: {
  product: Product;
  currency: string;
  as?: 'tile' | 'row';
  href?: string;
  onOpen?: () => void;
  flag?: ComponentChildren;
  action?: ComponentChildren;
  available?: number;
  testid?: string;
}) {
  const { product, currency, as = 'tile', href, onOpen, flag, action, testid } = props;
  const price = priceOf(product);
  const image = product.images[0];
  const available = props.available ?? availableOf(product);
  const title = href ? (
    <a href={href} class="cover-link">
      {product.title}
    </a>
  ) : onOpen ? (
    <button type="button" class="cover-link" onClick={onOpen}>
      {product.title}
    </button>
  ) : (
    product.title
  );
  return (
    <article class={`product ${as}${available <= 0 ? ' gone' : ''}`} data-testid={testid ?? 'product'} data-product={product.id}>
      <div class="product-image">
        <Picture url={image?.url} alt={image?.alt ?? ''} width={as === 'row' ? 96 : 640} sizes={as === 'row' ? '72px' : '(max-width: 40rem) 50vw, 18rem'} />
        {flag && <span class="product-flag">{flag}</span>}
      </div>
      <div class="product-text">
        <h3 class="product-title">{title}</h3>
        <div class="product-line">
          <Price minor={price.minor} compareAtMinor={price.compareAtMinor} currency={currency} from={price.from} />
          <Stock available={available} />
        </div>
      </div>
      {action && <div class="product-action">{action}</div>}
    </article>
  );
}
