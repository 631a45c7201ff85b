import { useEffect, useRef } from 'preact/hooks';
import { availableIn, chosen } from '../core/offer.ts';
import { Sheet } from '../ui/dialog.tsx';
import { Price, Stock } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { Badge, Empty, Skeleton } from '../ui/status.tsx';
import type { ShowStore } from './store.ts';

/** The run-of-show: what is pinned, what was, what comes. */
export function ProductsPanel({ store }: { store: ShowStore }) {
  return (
    <aside class="products-panel" aria-label="Products">
      <h2>In this show</h2>
      <ProductList store={store} />
    </aside>
  );
}

export function ProductsSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'products';
  return (
    <Sheet open={open} onClose={() => store.open(null)} title="In this show" testid="products-sheet">
      {open && <ProductList store={store} />}
    </Sheet>
  );
}

function ProductList({ store }: { store: ShowStore }) {
  const list = useRef<HTMLUListElement>(null);
  const pinned = store.pin.value?.product_id;
  useEffect(() => {
    list.current?.querySelector('.pinned')?.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  }, [pinned]);
  if (!store.show.value) return <Skeleton height="4.25rem" lines={4} />;
  const products = store.products.value;
  if (products.length === 0)
    return (
      <Empty icon="tag" title="No products yet">
        What the host shows will be listed here.
      </Empty>
    );
  return (
    <ul ref={list} class="product-list" data-testid="product-list">
      {products.map(({ card, state }) => {
        const variant = chosen(card, store.variantOf.value[card.product_id]);
        const available = availableIn(card);
        return (
          <li key={card.product_id} class={`product row ${state} ${available <= 0 ? 'gone' : ''}`} data-testid="show-product" data-product={card.product_id}>
            <span class="product-image">
              <Picture url={card.image_url} alt={card.image_alt ?? ''} width={96} sizes="68px" />
            </span>
            <div class="product-text">
              {state === 'pinned' && <Badge tone="live">Now</Badge>}
              <h3 class="product-title">
                <button type="button" class="cover-link" onClick={() => store.openProduct(card.product_id)}>
                  {card.title}
                </button>
              </h3>
              <div class="product-line">
                {variant && <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor} currency={card.currency} />}
                <Stock available={available} />
              </div>
            </div>
          </li>
        );
      })}
    </ul>
  );
}
