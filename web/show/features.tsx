import { leftWords, money } from '../core/format.ts';
import { auctionPhase, dropPhase, type Feature } from '../core/selling.ts';
import { Turn } from '../ui/waitlist.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import { useDerived } from '../ui/ticks.ts';
import { AuctionCard } from './auction-card.tsx';
import { DropCard } from './drop-card.tsx';
import { Pinned } from './pin-card.tsx';
import type { ShowStore } from './store.ts';
import './selling.css';

/** What is for sale over the picture: one card whole, the others a tap away. */
export function Features({ store }: { store: ShowStore }) {
  const { floor } = store;
  const ended = store.state.value === 'ended';
  const all = ended ? [] : floor.features.value;
  const shown = ended ? undefined : floor.feature.value;
  return (
    <>
      <div class="turn-place" aria-live="assertive">
        {floor.offers.value.map((place) => (
          <article key={place.variant_id} class="pin feature turn-card">
            <Turn waiting={floor} variantId={place.variant_id} place={place} title={store.titleOf(place.variant_id)} currency={store.currencyOf(place.variant_id)} disabled={store.checkout.busy} />
          </article>
        ))}
      </div>
      <div role="status" aria-live="polite" class="pin-place" data-testid="pin-place">
        {all.length > 1 && <Switch store={store} all={all} shown={shown} />}
        {shown?.kind === 'auction' && <AuctionCard key={shown.key} store={store} auction={shown.auction} />}
        {shown?.kind === 'drop' && <DropCard key={shown.key} store={store} drop={shown.drop} />}
        {shown?.kind === 'pin' && store.pin.value && <Pinned key={shown.key} store={store} card={store.pin.value} />}
      </div>
    </>
  );
}

/** Which of them is shown: a chip each, with what is most worth knowing about it. */
function Switch({ store, all, shown }: { store: ShowStore; all: readonly Feature[]; shown: Feature | undefined }) {
  return (
    <div class="feature-switch" role="group" aria-label="On sale now" aria-live="off" data-testid="feature-switch">
      {all.map((feature) => (
        <button
          key={feature.key}
          type="button"
          aria-pressed={feature.key === shown?.key}
          data-testid={`feature-${feature.kind}`}
          onClick={() => (store.floor.chosen.value = feature.key)}
        >
          <Chip store={store} feature={feature} />
        </button>
      ))}
    </div>
  );
}

const ICONS: Record<Feature['kind'], IconName> = { auction: 'gavel', drop: 'clock', pin: 'pin' };

function Chip({ store, feature }: { store: ShowStore; feature: Feature }) {
  const { now } = store.floor;
  const words = useDerived(() => chipWords(feature, store, now.value), [feature, now]);
  return (
    <>
      <Icon name={ICONS[feature.kind]} size={16} />
      <span class="clip">{words}</span>
    </>
  );
}

function chipWords(feature: Feature, store: ShowStore, nowMs: number): string {
  switch (feature.kind) {
    case 'auction': {
      const { auction } = feature;
      const phase = auctionPhase(auction, nowMs);
      const price = money(auction.price_minor, auction.card.currency);
      const { title } = auction.card;
      return phase === 'announced' ? `Soon: ${title}` : phase === 'open' ? `${price} · ${title}` : `Over: ${title}`;
    }
    case 'drop': {
      const phase = dropPhase(feature.drop, store.floor.sales.value.stock[feature.drop.variant_id], nowMs);
      const left = Math.max(0, Math.ceil((feature.drop.opens_ms - nowMs) / 1000));
      return phase === 'before' ? `Drop in ${leftWords(left)}` : phase === 'open' ? 'Drop open' : 'Drop sold out';
    }
    case 'pin':
      return feature.card.title;
  }
}
