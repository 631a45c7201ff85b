import { money } from '../core/format.ts';
import { mostOf, totals } from '../core/offer.ts';
import type { ProductCard, VariantCard } from '../core/protocol.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { Sheet } from '../ui/dialog.tsx';
import { Stepper } from '../ui/field.tsx';
import { Price, Stock } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { config, currency } from '../ui/session.ts';
import { Empty } from '../ui/status.tsx';
import { lineOf, PayLine } from './pin-card.tsx';
import type { ShowStore } from './store.ts';
import { Totals } from './totals.tsx';

interface Row {
  card: ProductCard;
  variant: VariantCard;
  quantity: number;
}

/** What was put aside, bought at once. Prices and stock are the room's latest; nothing is reserved before the tap. */
export function BagSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'bag';
  const rows = open ? rowsOf(store) : [];
  const lines = rows.filter(({ variant }) => mostOf(variant) > 0).map(({ card, variant, quantity }) => lineOf(card, variant, Math.min(quantity, mostOf(variant))));
  const cost = totals(lines, config.value?.shop);
  return (
    <Sheet
      open={open}
      onClose={() => store.open(null)}
      title="Bag"
      testid="bag-sheet"
      footer={
        lines.length > 0 && (
          <>
            <Totals goods={cost.goods_minor} shipping={cost.shipping_minor} total={cost.total_minor} />
            <div class="buy-box">
              <Button kind="buy" size="l" wide busy={store.checkout.busy} onClick={() => store.checkout.buy(lines)} testid="buy-all">
                Buy {lines.length > 1 ? 'all' : 'it'} · {money(cost.total_minor, currency.value)}
              </Button>
              <PayLine store={store} lines={lines} />
            </div>
          </>
        )
      }
    >
      {open && rows.length === 0 && (
        <Empty icon="bag" title="Your bag is empty">
          Open a product to put it here and buy several at once. A bag reserves nothing.
        </Empty>
      )}
      <ul class="list">
        {rows.map(({ card, variant, quantity }) => (
          <li key={variant.variant_id} class="product row bag-row" data-testid="bag-row">
            <span class="product-image">
              <Picture url={card.image_url} alt="" width={96} sizes="68px" />
            </span>
            <div class="product-text">
              <p class="product-title">{card.title}</p>
              {card.variants.length > 1 && <p class="muted small">{variant.title}</p>}
              <div class="product-line">
                <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor} currency={card.currency} />
                <Stock available={variant.available} />
              </div>
            </div>
            <div class="bag-tools">
              <Stepper
                label={`Quantity of ${card.title}`}
                value={quantity}
                max={Math.max(1, mostOf(variant))}
                onValue={(value) => store.bag.set(variant.variant_id, value)}
              />
              <IconButton icon="trash" label={`Remove ${card.title}`} onClick={() => store.bag.set(variant.variant_id, 0)} testid="bag-remove" />
            </div>
          </li>
        ))}
      </ul>
    </Sheet>
  );
}

function rowsOf(store: ShowStore): Row[] {
  const quantities = store.bag.quantities.value;
  const cards = store.products.value.map(({ card }) => card);
  return Object.entries(quantities).flatMap(([variantId, quantity]) => {
    const card = cards.find(({ variants }) => variants.some((variant) => variant.variant_id === variantId));
    const variant = card?.variants.find((candidate) => candidate.variant_id === variantId);
    return card && variant ? [{ card, variant, quantity }] : [];
  });
}
