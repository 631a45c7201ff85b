import { useEffect, useState } from 'preact/hooks';
import { availableIn, chosen, isPlain, mostOf, totals } from '../core/offer.ts';
import { cardBrand, money } from '../core/format.ts';
import type { ProductCard, VariantCard } from '../core/protocol.ts';
import type { Line } from '../core/purchase.ts';
import { dropPhase, flashIsOn } from '../core/selling.ts';
import { Button } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Icon } from '../ui/icons.tsx';
import { Price, Stock } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { config } from '../ui/session.ts';
import { Badge } from '../ui/status.tsx';
import { useSteady } from '../ui/steady.ts';
import { useDerived } from '../ui/ticks.ts';
import { Waitlist } from '../ui/waitlist.tsx';
import { GetReady } from './drop-card.tsx';
import type { ShowStore } from './store.ts';

export function lineOf(card: ProductCard, variant: VariantCard, quantity = 1): Line {
  const title = isPlain(card) ? card.title : `${card.title}, ${variant.title}`;
  return { variant_id: variant.variant_id, quantity, unit_price_minor: variant.price_minor, title };
}

/** The pinned product over the picture: what it is, what it costs, how many are left, one tap. */
export function Pinned({ store, card }: { store: ShowStore; card: ProductCard }) {
  const variant = chosen(card, store.variantOf.value[card.product_id]);
  // What is shown first stays chosen: a variant that sells out never turns into another under the finger.
  useEffect(() => {
    if (variant) store.choose(card.product_id, variant.variant_id);
  }, [card.product_id]);
  if (!variant) return null;
  return (
    <article class="pin" data-testid="pin" data-product={card.product_id}>
      <FlashStrip store={store} variantId={variant.variant_id} />
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
              <span class="clip">{variant.title}</span> <Icon name="chevron_down" size={14} />
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

/** How long the price lasts, above the card: nothing under it moves when it comes and goes. */
export function FlashStrip({ store, variantId }: { store: ShowStore; variantId: string }) {
  const flash = store.floor.sales.value.flashes[variantId];
  const on = useDerived(() => flashIsOn(flash, store.floor.now.value), [flash]);
  if (!flash) return null;
  return (
    <div class={`feature-head flash${on ? '' : ' over'}`} data-testid="flash" data-on={on}>
      <Badge tone="live" icon="tag">
        Flash price
      </Badge>
      <span class="grow">{on ? (flash.buyer_limit ? `At most ${flash.buyer_limit} a person` : '') : 'is over'}</span>
      {on && <Countdown now={store.floor.now} until={flash.ends_ms} label="Flash price" testid="flash-left" />}
    </div>
  );
}

/** Buys what is shown; under it who pays and where it goes, or what the first tap will ask for. */
export function BuyButton(props: {
  store: ShowStore;
  card: ProductCard;
  variant: VariantCard;
  quantity: number;
  shortcut?: boolean;
  /** On a drop's own card, which says when it opens. */
  drop?: boolean;
}) {
  const { store, card, variant, quantity, shortcut } = props;
  const { checkout, floor } = store;
  const line = lineOf(card, variant, quantity);
  const steady = useSteady(line.unit_price_minor);
  const [movedTo, setMovedTo] = useState<number | null>(null);
  const moved = movedTo === line.unit_price_minor;
  const scheduled = floor.sales.value.drops[variant.variant_id];
  const phase = useDerived(() => scheduled && dropPhase(scheduled, undefined, floor.now.value), [scheduled]);
  if (scheduled && phase === 'before') return <GetReady store={store} drop={scheduled} variant={variant} />;
  const gone = mostOf(variant) < 1;
  const others = gone && shortcut && availableIn(card) > 0;
  const busy = checkout.purchase.value.step === 'placing' || checkout.purchase.value.step === 'charging';
  if (gone && !others)
    return (
      <Waitlist waiting={floor} variantId={variant.variant_id} title={line.title} currency={card.currency} quantity={quantity} ahead={scheduled?.waiting ?? 0} quiet={!!shortcut} />
    );
  const buy = () => {
    if (!steady()) return setMovedTo(line.unit_price_minor);
    setMovedTo(null);
    checkout.buy([line]);
  };
  return (
    <div class="buy-box" data-shortcut={shortcut ? 'buy' : undefined}>
      <Button
        kind="buy"
        size="l"
        wide
        busy={busy}
        testid={shortcut ? 'buy' : 'buy-in-sheet'}
        shortcut={shortcut ? 'b' : undefined}
        onClick={() => (others ? store.openProduct(card.product_id) : buy())}
      >
        {others ? 'Sold out · choose another' : `Buy · ${money(line.unit_price_minor * quantity, card.currency)}`}
      </Button>
      {moved ? (
        <p class="pay-line" role="alert" data-testid="price-moved">
          The price moved as you tapped. Tap again if you agree.
        </p>
      ) : (
        !gone && <PayLine store={store} lines={[line]} />
      )}
    </div>
  );
}

/** "Visa ·· 4242 → Rue Haute 12 · €23.90 in all", and the way to change it. */
export function PayLine({ store, lines, onOpen }: { store: ShowStore; lines: Line[]; onOpen?: () => void }) {
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
    <button type="button" class="pay-line" onClick={onOpen ?? (() => store.checkout.review(lines))} data-testid="pay-line">
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
