import { useEffect } from 'preact/hooks';
import { availableIn, chosen, isPlain, mostOf, totals } from '../core/offer.ts';
import { cardBrand, money } from '../core/format.ts';
import type { ProductCard, VariantCard } from '../core/protocol.ts';
import type { Line } from '../core/purchase.ts';
import { Button } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { Price, Stock } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { config } from '../ui/session.ts';
import type { ShowStore } from './store.ts';

export function lineOf(card: ProductCard, variant: VariantCard, quantity = 1): Line {
  const title = isPlain(card) ? card.title : `${card.title}, ${variant.title}`;
  return { variant_id: variant.variant_id, quantity, unit_price_minor: variant.price_minor, title };
}

/** The pinned product over the picture: what it is, what it costs, how many are left, one tap. */
export function PinCard({ store }: { store: ShowStore }) {
  const card = store.pin.value;
  const state = store.state.value;
  return (
    <div role="status" aria-live="polite" class="pin-place" data-testid="pin-place">
      {card && state !== 'ended' && <Pinned key={card.product_id} store={store} card={card} />}
    </div>
  );
}

function Pinned({ store, card }: { store: ShowStore; card: ProductCard }) {
  const variant = chosen(card, store.variantOf.value[card.product_id]);
  // What is shown first stays chosen: a variant that sells out never turns into another under the finger.
  useEffect(() => {
    if (variant) store.choose(card.product_id, variant.variant_id);
  }, [card.product_id]);
  if (!variant) return null;
  return (
    <article class="pin" data-testid="pin" data-product={card.product_id}>
      <button type="button" class="pin-top" onClick={() => store.openProduct(card.product_id)} data-testid="pin-open">
        <span class="pin-image">
          <Picture url={card.image_url} alt={card.image_alt ?? ''} width={320} sizes="72px" eager />
        </span>
        <span class="pin-words">
          <span class="pin-title" data-testid="pin-title">
            {card.title}
          </span>
          {!isPlain(card) && (
            <span class="pin-variant" data-testid="pin-variant">
              {variant.title} <Icon name="chevron_down" size={14} />
            </span>
          )}
          <span class="row wrap pin-price">
            <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor} currency={card.currency} testid="pin-price" />
            <span data-testid="pin-stock" data-available={variant.available}>
              <Stock available={variant.available} />
            </span>
          </span>
        </span>
      </button>
      <BuyButton store={store} card={card} variant={variant} quantity={1} shortcut />
    </article>
  );
}

/** Buys what is shown; under it who pays and where it goes, or what the first tap will ask for. */
export function BuyButton(props: {
  store: ShowStore;
  card: ProductCard;
  variant: VariantCard;
  quantity: number;
  shortcut?: boolean;
}) {
  const { store, card, variant, quantity, shortcut } = props;
  const { checkout } = store;
  const line = lineOf(card, variant, quantity);
  const gone = mostOf(variant) < 1;
  const others = gone && shortcut && availableIn(card) > 0;
  const busy = checkout.purchase.value.step === 'placing' || checkout.purchase.value.step === 'charging';
  return (
    <div class="buy-box" data-shortcut={shortcut ? 'buy' : undefined}>
      <Button
        kind="buy"
        size="l"
        wide
        disabled={gone && !others}
        busy={busy}
        testid={shortcut ? 'buy' : 'buy-in-sheet'}
        shortcut={shortcut ? 'b' : undefined}
        onClick={() => (others ? store.openProduct(card.product_id) : checkout.buy([line]))}
      >
        {others ? 'Sold out · choose another' : gone ? 'Sold out' : `Buy · ${money(line.unit_price_minor * quantity, card.currency)}`}
      </Button>
      {!gone && <PayLine store={store} lines={[line]} />}
    </div>
  );
}

/** "Visa ·· 4242 → Rue Haute 12 · €23.90 in all", and the way to change it. */
export function PayLine({ store, lines }: { store: ShowStore; lines: Line[] }) {
  const { card, address, ready } = store.checkout;
  const shop = config.value?.shop;
  const { shipping_minor, total_minor } = totals(lines, shop);
  const total = shop && `${money(total_minor, shop.currency)} with delivery`;
  if (!ready.value)
    return (
      <p class="pay-line" data-testid="pay-line">
        {shop && shipping_minor > 0 ? `Tax included, ${money(shipping_minor, shop.currency)} delivery` : 'Tax and delivery included'}
      </p>
    );
  return (
    <button type="button" class="pay-line" onClick={() => store.checkout.review(lines)} data-testid="pay-line">
      <Icon name="card" size={15} />
      <span class="clip">
        {config.value?.payments.provider === 'demo' && <b>Test mode · </b>}
        {cardBrand(card.value!.brand)} ·· {card.value!.last4} → {address.value!.line1}
      </span>
      <span class="tabular">{total}</span>
      <Icon name="chevron_right" size={14} />
    </button>
  );
}
