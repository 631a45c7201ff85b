import type { ComponentChildren } from 'preact';
import { money, moment } from '../../core/format.ts';
import type { AuctionView, DropView, FlashView, ProductCard } from '../../core/protocol.ts';
import { auctionPhase, dropPhase, flashIsOn, isOver, type AuctionPhase } from '../../core/selling.ts';
import { BidBook } from '../bid-book.tsx';
import { Button } from '../button.tsx';
import { Countdown } from '../countdown.tsx';
import { Icon } from '../icons.tsx';
import { currency } from '../session.ts';
import { Badge } from '../status.tsx';
import { useDerived } from '../ticks.ts';
import type { DeskStore } from './store.ts';

const ENDED: ReadonlySet<string> = new Set(['sold', 'unsold', 'cancelled']);

/** Flash prices, drops and auctions of this show: how each stands, and what can be done about it; what is over, folded. */
export function SalesFloor({ store }: { store: DeskStore }) {
  const { flashes, drops, auctions, stock } = store.floor.value;
  const on = useDerived(() => Object.values(flashes).filter((flash) => flashIsOn(flash, store.ticks.now.value)).map((flash) => flash.variant_id).join(), [flashes]);
  const ids = on ? on.split(',') : [];
  const gone = (drop: DropView) => drop.state === 'sold_out' || (drop.state === 'open' && stock[drop.variant_id] === 0);
  const dropped = Object.values(drops).filter((drop) => drop.state !== 'cancelled');
  const held = Object.values(auctions).reverse();
  const running = held.filter((auction) => !ENDED.has(auction.state));
  const ended = held.filter((auction) => ENDED.has(auction.state));
  const over = [
    ...ended.map((auction) => <AuctionRow key={auction.auction_id} store={store} auction={auction} />),
    ...dropped.filter(gone).map((drop) => <DropRow key={drop.drop_id} store={store} drop={drop} />),
  ];
  if (ids.length + dropped.length + held.length === 0) return null;
  return (
    <section class="sales-floor" aria-label="Flash prices, drops and auctions" data-testid="sales-floor">
      {running.map((auction) => (
        <AuctionRow key={auction.auction_id} store={store} auction={auction} />
      ))}
      {ids.map((id) => flashes[id] && <FlashRow key={flashes[id].flash_id} store={store} flash={flashes[id]} />)}
      {dropped.filter((drop) => !gone(drop)).map((drop) => (
        <DropRow key={drop.drop_id} store={store} drop={drop} />
      ))}
      {over.length > 0 && (
        <details class="sales-over" data-testid="sales-over">
          <summary>
            <span class="grow clip">{ended[0] ? `${ended[0].card.title}: ${auctionWords(ended[0], auctionPhase(ended[0], 0), ended[0].card)}` : 'Sold out'}</span>
            <span class="tabular">{over.length} over</span>
            <Icon name="chevron_down" size={16} />
          </summary>
          {over}
        </details>
      )}
    </section>
  );
}

function SaleRow(props: { kind: string; tone: 'live' | 'brand' | 'plain'; title: string; children: ComponentChildren; clock?: ComponentChildren; actions?: ComponentChildren; below?: ComponentChildren; testid: string; state: string }) {
  const { kind, tone, title, children, clock, actions, below, testid, state } = props;
  return (
    <article class="sale" data-testid={testid} data-state={state}>
      <div class="sale-head">
        <Badge tone={tone}>{kind}</Badge>
        <b class="grow clip" title={title}>
          {title}
        </b>
        {clock}
      </div>
      <div class="sale-line">
        <p class="grow tabular">{children}</p>
        {actions}
      </div>
      {below}
    </article>
  );
}

function FlashRow({ store, flash }: { store: DeskStore; flash: FlashView }) {
  const title = store.titleOf(flash.variant_id);
  return (
    <SaleRow
      kind="Flash"
      tone="live"
      title={title}
      testid="sale-flash"
      state="on"
      clock={<Countdown now={store.ticks.now} until={flash.ends_ms} label={`Flash price of ${title}`} />}
      actions={
        store.may('end_flash') && (
          <Button size="s" busy={store.busy.value.has(`flash:${flash.flash_id}`)} onClick={() => void store.endFlash(flash)} testid="end-flash">
            End now
          </Button>
        )
      }
    >
      {money(flash.price_minor, currency.value)} instead of {money(flash.was_minor, currency.value)}
      {flash.buyer_limit ? `, at most ${flash.buyer_limit} a person` : ''}
    </SaleRow>
  );
}

function DropRow({ store, drop }: { store: DeskStore; drop: DropView }) {
  const left = store.floor.value.stock[drop.variant_id];
  const phase = useDerived(() => dropPhase(drop, left, store.ticks.now.value), [drop, left]);
  const waiting = drop.waiting ? `, ${drop.waiting} waiting` : '';
  const words = {
    before: `${drop.units} units at ${moment(drop.opens_ms, Date.now())}`,
    open: `Open: ${left ?? drop.units} of ${drop.units} left${waiting}`,
    sold_out: `${drop.units === 1 ? 'Taken' : `All ${drop.units} taken`}${waiting}`,
    cancelled: 'Taken back',
  };
  return (
    <SaleRow
      kind="Drop"
      tone={phase === 'sold_out' ? 'plain' : 'live'}
      title={drop.card.title}
      testid="sale-drop"
      state={phase}
      clock={phase === 'before' && <Countdown now={store.ticks.now} until={drop.opens_ms} label={`Drop of ${drop.card.title}`} />}
      actions={
        phase === 'before' &&
        store.may('cancel_drop') && (
          <Button size="s" busy={store.busy.value.has(`drop:${drop.drop_id}`)} onClick={() => void store.cancelDrop(drop)} testid="cancel-drop">
            Take back
          </Button>
        )
      }
    >
      {words[phase]}
    </SaleRow>
  );
}

function AuctionRow({ store, auction }: { store: DeskStore; auction: AuctionView }) {
  const phase = useDerived(() => auctionPhase(auction, store.ticks.now.value), [auction]);
  const busy = store.busy.value.has(`auction:${auction.auction_id}`);
  const { title } = auction.card;
  return (
    <SaleRow
      kind="Auction"
      tone={phase === 'open' ? 'live' : isOver(phase) ? 'plain' : 'brand'}
      title={title}
      testid="sale-auction"
      state={phase}
      clock={phase === 'open' && auction.ends_ms != null && <Countdown now={store.ticks.now} until={auction.ends_ms} label={`Auction of ${title}`} />}
      actions={
        <>
          {phase === 'announced' && store.may('open_auction') && (
            <Button size="s" kind="primary" icon="gavel" busy={busy} onClick={() => void store.openAuction(auction)} testid="open-auction">
              Open
            </Button>
          )}
          {(phase === 'announced' || phase === 'open') && store.may('cancel_auction') && (
            <Button size="s" kind="danger" busy={busy} onClick={() => void store.cancelAuction(auction)} testid="cancel-auction">
              Call off
            </Button>
          )}
        </>
      }
      below={
        (auction.recent?.length ?? 0) > 0 && (
          <details class="sale-book">
            <summary>
              {auction.bids} {auction.bids === 1 ? 'bid' : 'bids'}
            </summary>
            <BidBook bids={auction.recent ?? []} mine={null} currency={auction.card.currency} />
            <a href={`/auctions/${auction.auction_id}`} target="_blank" rel="noopener" class="small">
              The whole book
            </a>
          </details>
        )
      }
    >
      {auctionWords(auction, phase, auction.card)}
    </SaleRow>
  );
}

export function auctionWords(auction: AuctionView, phase: AuctionPhase, card: ProductCard): string {
  const price = money(auction.price_minor, card.currency);
  const leader = auction.leader ?? 'nobody yet';
  const reserve = auction.has_reserve ? (auction.reserve_met ? ', reserve met' : ', reserve not met') : '';
  switch (phase) {
    case 'announced':
      return `Announced, from ${money(auction.start_minor, card.currency)}${auction.bids ? `: ${auction.bids} ahead of the opening` : ''}`;
    case 'open':
      return auction.bids ? `${price}, ${leader} leads${reserve}` : `No bids yet, from ${money(auction.start_minor, card.currency)}${reserve}`;
    case 'hammer':
      return `The hammer fell at ${price}; last bids are counted`;
    case 'charging':
      return `${leader} won for ${price} and is paying`;
    case 'sold':
      return `Sold to ${leader} for ${price}, paid`;
    case 'unsold':
      return auction.bids ? `Not sold${reserve || ': nobody paid'}` : 'Not sold: no bids';
    case 'cancelled':
      return 'Called off';
  }
}
