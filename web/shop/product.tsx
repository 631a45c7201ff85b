import { effect } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { moment, money } from '../core/format.ts';
import { totals } from '../core/offer.ts';
import type { Product, Variant } from '../core/types.ts';
import { CheckoutSheet } from '../show/checkout-sheet.tsx';
import { Outcome } from '../show/outcome.tsx';
import { SignInSheet } from '../show/sign-in-sheet.tsx';
import { Button, LinkButton } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Choices, Stepper } from '../ui/field.tsx';
import { Price, Stock, stockWords } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { config, currency, me } from '../ui/session.ts';
import { Failed } from '../ui/start.tsx';
import { Badge, Skeleton } from '../ui/status.tsx';
import { useSteady } from '../ui/steady.ts';
import { useDerived } from '../ui/ticks.ts';
import { Waitlist } from '../ui/waitlist.tsx';
import { Counter } from './counter.ts';
import { useLoaded } from './loaded.ts';
import { Lost } from './lost.tsx';
import { cardWords } from './order-parts.tsx';
import type { PageProps } from './routes.ts';
import { Till } from './till.ts';

export function ProductPage({ params }: PageProps) {
  const handle = params['handle'] ?? '';
  const { value: product, problem, reload } = useLoaded(() => api.product(handle), handle);
  useEffect(() => {
    if (product) document.title = `${product.title} · ${config.value?.shop.name}`;
  }, [product]);
  if (problem && !product) return problem.status === 404 ? <Gone /> : <Failed error={problem} retry={reload} />;
  if (!product) return <Loading />;
  return <Shown product={product} onSold={reload} />;
}

function Shown({ product, onSold }: { product: Product; onSold: () => void }) {
  const till = useMemo(() => new Till(), []);
  const latest = useRef(product);
  latest.current = product;
  const counter = useMemo(() => new Counter(till, () => turnsOf(latest.current)), [till]);
  useEffect(() => counter.open(), [counter]);
  useEffect(() => counter.ticks.poke(), [product]);
  // What a flash price's end or a drop's opening made of it is the shop's to say; the page shows its clock's view meanwhile.
  const turned = useDerived(() => turnsOf(product).filter((at) => at <= counter.now.value).length, [product, counter]);
  useEffect(() => {
    if (!turned) return;
    const timer = setTimeout(onSold, 400 + 1200 * Math.random());
    return () => clearTimeout(timer);
  }, [turned]);
  useEffect(() => {
    void till.checkout.resume();
    // Who signs in halfway brings cards and addresses along.
    return effect(() => void (me.value !== undefined && till.checkout.loadWallet()));
  }, []);
  const step = till.checkout.purchase.value.step;
  useEffect(() => {
    if (['charging', 'paid', 'refused', 'declined'].includes(step)) onSold();
  }, [step]);
  return (
    <article class="product-page" data-testid="product-page">
      <Gallery product={product} />
      <div class="product-buy">
        <h1>{product.title}</h1>
        <Offer product={product} till={till} counter={counter} />
        <Outcome store={till} />
        {product.description && <p class="product-words">{product.description}</p>}
        <Terms />
      </div>
      <CheckoutSheet store={till} />
      <SignInSheet store={till} />
    </article>
  );
}

/** The variant kept under the finger even when it sells out; the first that can be bought to begin with. */
function useVariant(product: Product): [Variant | undefined, (id: string) => void] {
  const [id, choose] = useState(() => (product.variants.find(({ available }) => available > 0) ?? product.variants[0])?.id);
  return [product.variants.find((variant) => variant.id === id) ?? product.variants[0], choose];
}

/** Times at which something about it changes by itself. */
const turnsOf = (product: Product): number[] =>
  product.variants.flatMap(({ flash, drop }) => [flash?.ends_ms ?? [], drop?.state === 'scheduled' ? drop.opens_ms : []].flat());

/** As it is sold now: a flash price that is over by the clock is no price any more. */
function soldAs(variant: Variant, nowMs: number): Variant {
  const { flash } = variant;
  if (!flash || nowMs < flash.ends_ms) return flash?.buyer_limit ? { ...variant, buyer_limit: flash.buyer_limit } : variant;
  return { ...variant, price_minor: flash.was_minor, compare_at_minor: null, flash: null };
}

/** Opened by the clock, before the shop was asked again: what is left is not known yet. */
const opened = (variant: Variant, before: boolean): Variant =>
  !before && variant.drop?.state === 'scheduled' ? { ...variant, available: Math.max(variant.available, variant.drop.units) } : variant;

function Offer({ product, till, counter }: { product: Product; till: Till; counter: Counter }) {
  const [asLoaded, choose] = useVariant(product);
  const over = useDerived(() => !!asLoaded?.flash && counter.now.value >= asLoaded.flash.ends_ms, [asLoaded]);
  const before = useDerived(() => asLoaded?.drop?.state === 'scheduled' && counter.now.value < asLoaded.drop.opens_ms, [asLoaded]);
  const variant = asLoaded && soldAs(opened(asLoaded, before), over ? Number.POSITIVE_INFINITY : 0);
  const steady = useSteady(variant?.price_minor);
  const [quantity, setQuantity] = useState(1);
  const most = variant ? Math.max(0, Math.min(variant.available, variant.buyer_limit || 99, 99)) : 0;
  useEffect(() => setQuantity((before) => Math.max(1, Math.min(before, most))), [most]);
  if (!variant) return <p class="muted">This can’t be bought just now.</p>;
  const plain = product.variants.length === 1;
  const line = {
    variant_id: variant.id,
    quantity,
    unit_price_minor: variant.price_minor,
    title: plain ? product.title : `${product.title}, ${variant.title}`,
  };
  const { checkout } = till;
  const total = totals([line], config.value?.shop);
  return (
    <>
      <div class="row wrap product-price">
        <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor ?? null} currency={currency.value} testid="price" />
        {!before && <Stock available={variant.available} testid="stock" />}
      </div>
      <Occasion variant={variant} before={before} counter={counter} />
      {!plain && (
        <Choices
          legend="Choose"
          name="variant"
          value={variant.id}
          onValue={choose}
          options={product.variants.map((option) => ({
            value: option.id,
            label: option.title,
            note: stockWords(option.available) ?? money(option.price_minor, currency.value),
          }))}
        />
      )}
      {before ? (
        <Button kind="buy" size="l" wide disabled testid="drop-wait">
          Opens at {moment(variant.drop!.opens_ms, Date.now())}
        </Button>
      ) : most < 1 ? (
        <Waitlist waiting={counter} variantId={variant.id} title={line.title} currency={currency.value} ahead={variant.drop?.waiting ?? 0} />
      ) : (
      <div class="buy-row">
        {most > 1 && <Stepper label="Quantity" value={quantity} max={most} onValue={setQuantity} testid="quantity" />}
        <Button kind="buy" size="l" busy={checkout.busy} onClick={() => steady() && checkout.buy([line])} testid="buy">
          Buy now · {money(line.unit_price_minor * quantity, currency.value)}
        </Button>
      </div>
      )}
      {checkout.ready.value && checkout.card.value && most > 0 && !before && (
        <button type="button" class="pay-line" onClick={() => checkout.review([line])} data-testid="pay-line">
          {money(total.total_minor, currency.value)} with delivery, {cardWords(checkout.card.value)} to {checkout.address.value?.line1}. <u>Change</u>
        </button>
      )}
    </>
  );
}

/** A flash price with its end, a drop with its opening. */
function Occasion({ variant, before, counter }: { variant: Variant; before: boolean; counter: Counter }) {
  const { flash, drop } = variant;
  if (flash)
    return (
      <div class="feature-head" data-testid="flash">
        <Badge tone="live" icon="tag">
          Flash price
        </Badge>
        <span class="grow">{flash.buyer_limit ? `At most ${flash.buyer_limit} a person` : ''}</span>
        <Countdown now={counter.now} until={flash.ends_ms} label="Flash price" testid="flash-left" />
      </div>
    );
  if (!drop || drop.state === 'cancelled') return null;
  return (
    <div class="feature-head" data-testid="drop" data-before={before}>
      <Badge tone="live">Drop</Badge>
      <span class="grow">
        {before ? (
          <>
            Opens for everyone at <b class="tabular">{moment(drop.opens_ms, Date.now())}</b>
          </>
        ) : (
          `${drop.units} units`
        )}
        {drop.show_id && (
          <>
            {' '}
            <a href={`/shows/${drop.show_id}`}>in the show</a>
          </>
        )}
      </span>
      {before && <Countdown now={counter.now} until={drop.opens_ms} label="Drop opens" testid="drop-left" />}
    </div>
  );
}

function Gallery({ product }: { product: Product }) {
  const [at, show] = useState(0);
  const image = product.images[at] ?? product.images[0];
  return (
    <div class="gallery">
      <div class="gallery-main">
        <Picture key={image?.id ?? 'none'} url={image?.url ?? null} alt={image?.alt ?? ''} width={1280} sizes="(max-width: 56rem) 100vw, 40rem" eager />
      </div>
      {product.images.length > 1 && (
        <ul class="gallery-thumbs">
          {product.images.map((one, index) => (
            <li key={one.id}>
              <button type="button" aria-pressed={index === at} aria-label={`Picture ${index + 1}: ${one.alt || product.title}`} onClick={() => show(index)}>
                <Picture url={one.url} alt="" width={96} />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Terms() {
  const shop = config.value?.shop;
  if (!shop) return null;
  return (
    <ul class="terms muted small">
      <li>{shop.flat_shipping_minor ? `Delivery ${money(shop.flat_shipping_minor, shop.currency)} an order, however much is in it.` : 'Delivery is free.'}</li>
      <li>{shop.tax_rate_bp ? `Prices include ${shop.tax_rate_bp / 100} % tax.` : 'Prices include all taxes.'}</li>
    </ul>
  );
}

function Loading() {
  return (
    <div class="product-page" aria-busy="true">
      <span class="visually-hidden">Loading</span>
      <div class="gallery">
        <div class="gallery-main">
          <Skeleton height="100%" />
        </div>
      </div>
      <div class="product-buy">
        <Skeleton width="70%" height="2.25rem" />
        <Skeleton width="6rem" height="1.5rem" />
        <Skeleton height="3.25rem" />
        <Skeleton lines={3} />
      </div>
    </div>
  );
}

function Gone() {
  return (
    <Lost icon="tag" title="This product is not for sale" action={<LinkButton href="/products" kind="primary">See everything</LinkButton>}>
      It may have been taken out of the shop, or the address is mistyped.
    </Lost>
  );
}
