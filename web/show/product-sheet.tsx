import { useEffect, useState } from 'preact/hooks';
import { chosen, isPlain, mostOf } from '../core/offer.ts';
import { money } from '../core/format.ts';
import type { ProductCard } from '../core/protocol.ts';
import { Button } from '../ui/button.tsx';
import { Choices, Stepper } from '../ui/field.tsx';
import { Sheet } from '../ui/dialog.tsx';
import { Price, Stock, stockWords } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { toast } from '../ui/status.tsx';
import { BuyButton, FlashStrip } from './pin-card.tsx';
import type { ShowStore } from './store.ts';

/** One product: its variants, how many, into the bag or bought. The picture goes on behind it. */
export function ProductSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'product';
  const card = open ? store.card(store.looking.value) : null;
  return (
    <Sheet open={open && !!card} onClose={() => store.open(null)} title={card?.title ?? ''} testid="product-sheet">
      {card && <Product key={card.product_id} store={store} card={card} />}
    </Sheet>
  );
}

function Product({ store, card }: { store: ShowStore; card: ProductCard }) {
  const [quantity, setQuantity] = useState(1);
  const variant = chosen(card, store.variantOf.value[card.product_id]);
  const most = variant ? mostOf(variant) : 0;
  useEffect(() => setQuantity((before) => Math.max(1, Math.min(before, most))), [most]);
  const description = store.show.value?.items.find(({ product }) => product.id === card.product_id)?.product.description;
  if (!variant) return null;
  const toBag = () => {
    store.bag.add(variant.variant_id, quantity);
    toast(`${card.title} is in your bag. A bag reserves nothing.`, 'ok');
    store.open(null);
  };
  return (
    <div class="stack product-detail">
      <div class="product-detail-image">
        <Picture url={card.image_url} alt={card.image_alt ?? ''} width={640} sizes="30rem" />
      </div>
      <FlashStrip store={store} variantId={variant.variant_id} />
      <div class="row wrap spread">
        <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor} currency={card.currency} testid="sheet-price" />
        <Stock available={variant.available} always testid="sheet-stock" />
      </div>
      {!isPlain(card) && (
        <Choices
          legend="Choose"
          name="variant"
          value={variant.variant_id}
          onValue={(id) => store.choose(card.product_id, id)}
          options={card.variants.map((option) => ({
            value: option.variant_id,
            label: option.title,
            note: stockWords(option.available) ?? money(option.price_minor, card.currency),
          }))}
        />
      )}
      <div class="row spread">
        <span class="small">
          <b>Quantity</b>
          {variant.buyer_limit ? <span class="muted"> at most {variant.buyer_limit} a person</span> : null}
        </span>
        <Stepper label="Quantity" value={quantity} max={Math.max(1, most)} onValue={setQuantity} testid="quantity" />
      </div>
      <BuyButton store={store} card={card} variant={variant} quantity={quantity} />
      <Button wide icon="bag" disabled={most < 1} onClick={toBag} testid="add-to-bag">
        Put in bag
      </Button>
      {description && <p class="muted small product-description">{description}</p>}
    </div>
  );
}
