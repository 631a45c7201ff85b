import { moment, money } from '../core/format.ts';
import { isPlain } from '../core/offer.ts';
import type { DropView, VariantCard } from '../core/protocol.ts';
import { dropPhase, type DropPhase } from '../core/selling.ts';
import { Button } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Price } from '../ui/money.tsx';
import { Picture } from '../ui/picture.tsx';
import { Badge } from '../ui/status.tsx';
import { useDerived } from '../ui/ticks.ts';
import { Waitlist } from '../ui/waitlist.tsx';
import { BuyButton, lineOf, PayLine } from './pin-card.tsx';
import type { ShowStore } from './store.ts';

/** A drop over the picture: when it opens, whether one is ready, one tap, and the waitlist after. */
export function DropCard({ store, drop }: { store: ShowStore; drop: DropView }) {
  const { floor } = store;
  const left = floor.sales.value.stock[drop.variant_id];
  const phase = useDerived(() => dropPhase(drop, left, floor.now.value), [drop, left]);
  const card = store.live(drop.card);
  const variant = card.variants.find(({ variant_id }) => variant_id === drop.variant_id) ?? card.variants[0];
  if (!variant) return null;
  return (
    <article class="pin feature drop" data-testid="drop" data-phase={phase} data-variant={drop.variant_id}>
      <div class="feature-head" aria-live="off">
        <Badge tone="live">Drop</Badge>
        {phase === 'before' ? (
          <>
            <span class="grow">
              Opens for everyone at <b class="tabular">{moment(drop.opens_ms, Date.now())}</b>
            </span>
            <Countdown now={floor.now} until={drop.opens_ms} label="Drop opens" testid="drop-left" />
          </>
        ) : (
          <span class="grow tabular" data-testid="drop-units">
            {unitsWords(phase, left, drop)}
          </span>
        )}
      </div>
      <button type="button" class="pin-top" onClick={() => store.openProduct(card.product_id)}>
        <span class="pin-image">
          <Picture url={card.image_url} alt={card.image_alt ?? ''} width={320} sizes="72px" eager />
        </span>
        <span class="pin-words">
          <span class="pin-title">{card.title}</span>
          {!isPlain(card) && <span class="pin-variant">{variant.title}</span>}
          <Price minor={variant.price_minor} compareAtMinor={variant.compare_at_minor} currency={card.currency} />
        </span>
      </button>
      <Way store={store} drop={drop} phase={phase} variant={variant} />
    </article>
  );
}

function unitsWords(phase: DropPhase, left: number | undefined, drop: DropView): string {
  if (phase === 'sold_out') return drop.units === 1 ? 'Taken' : `All ${drop.units} are taken`;
  if (drop.state === 'scheduled') return `Open · ${drop.units} units`;
  return `Open · ${left ?? drop.units} of ${drop.units} left`;
}

function Way({ store, drop, phase, variant }: { store: ShowStore; drop: DropView; phase: DropPhase; variant: VariantCard }) {
  const card = store.live(drop.card);
  if (phase === 'sold_out')
    return (
      <Waitlist waiting={store.floor} variantId={drop.variant_id} title={card.title} currency={card.currency} ahead={drop.waiting ?? 0} quiet />
    );
  if (phase === 'before') return <GetReady store={store} drop={drop} variant={variant} />;
  // Opened by the clock, before the room's word: what is left is not known yet, the server decides.
  const known = drop.state === 'open' ? variant : { ...variant, available: Math.max(variant.available, drop.units) };
  return <BuyButton store={store} card={card} variant={known} quantity={1} shortcut drop />;
}

/** Before it opens: card and address, so that one tap is enough when it does. */
export function GetReady({ store, drop, variant }: { store: ShowStore; drop: DropView; variant: VariantCard }) {
  const { checkout } = store;
  const ready = checkout.ready.value;
  const goal = {
    lead: 'With an address and a card at hand, one tap is enough when it opens. Nothing is charged before.',
    label: 'I am ready',
    run: () => store.open(null),
  };
  return (
    <div class="buy-box">
      {ready ? (
        <Button kind="buy" size="l" wide disabled testid="drop-wait">
          Ready · opens at {moment(drop.opens_ms, Date.now())}
        </Button>
      ) : (
        <Button kind="buy" size="l" wide icon="check" onClick={() => checkout.prepare(goal, { always: true })} testid="get-ready">
          Get ready
        </Button>
      )}
      {ready ? (
        <PayLine store={store} lines={[lineOf(drop.card, variant)]} onOpen={() => checkout.prepare(goal, { always: true })} />
      ) : (
        <p class="pay-line">
          {drop.units} units, {money(variant.price_minor, drop.card.currency)} each. Save address and card now.
        </p>
      )}
    </div>
  );
}
