import { useEffect, useState } from 'preact/hooks';
import { money, moneyInput, parseMoney } from '../core/format.ts';
import type { AuctionView, BidView } from '../core/protocol.ts';
import { auctionPhase, bidSteps, leastBid, mergedBids, takesBids } from '../core/selling.ts';
import { api } from '../core/api.ts';
import { BidBook } from '../ui/bid-book.tsx';
import { Button } from '../ui/button.tsx';
import { Countdown } from '../ui/countdown.tsx';
import { Sheet } from '../ui/dialog.tsx';
import { Choices, Field } from '../ui/field.tsx';
import { config } from '../ui/session.ts';
import { useDerived } from '../ui/ticks.ts';
import type { ShowStore } from './store.ts';

/** One auction in full: a maximum of one's own, the rules, the public book. */
export function AuctionSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'auction';
  const auction = store.floor.auction(store.floor.auctionId.value);
  return (
    <Sheet open={open && !!auction} onClose={() => store.open(null)} title={auction?.card.title ?? ''} testid="auction-sheet">
      {open && auction && <Body key={auction.auction_id} store={store} auction={auction} />}
    </Sheet>
  );
}

function Body({ store, auction }: { store: ShowStore; auction: AuctionView }) {
  const { floor } = store;
  const phase = useDerived(() => auctionPhase(auction, floor.now.value), [auction]);
  const standing = floor.standing(auction.auction_id);
  return (
    <div class="stack">
      <div class="row spread auction-now">
        <span>
          <b class="tabular auction-price">{auction.bids ? money(auction.price_minor, auction.card.currency) : `From ${money(auction.start_minor, auction.card.currency)}`}</b>
          <span class="muted small"> {auction.has_reserve ? (auction.reserve_met ? 'Reserve met' : 'Reserve not met') : ''}</span>
        </span>
        {phase === 'open' && auction.ends_ms != null && <Countdown now={floor.now} until={auction.ends_ms} label="Auction ends" />}
      </div>
      {takesBids(phase) && !store.staff.value && <Maximum store={store} auction={auction} />}
      {takesBids(phase) && store.staff.value && <p class="muted small">You work for this shop, so you can’t bid in its auctions.</p>}
      <Rules auction={auction} />
      <section class="stack" aria-labelledby="book-title">
        <div class="row spread">
          <h3 id="book-title">Bid book</h3>
          <a class="small" href={`/auctions/${auction.auction_id}`} target="_blank" rel="noopener">
            Its own page
          </a>
        </div>
        <Book auction={auction} mine={standing?.alias ?? null} pass={store.pass} />
      </section>
    </div>
  );
}

/** "The shop bids for you, an increment at a time, never above it." */
function Maximum({ store, auction }: { store: ShowStore; auction: AuctionView }) {
  const { floor } = store;
  const { currency } = auction.card;
  const standing = floor.standing(auction.auction_id);
  const least = leastBid(auction, standing);
  const [text, setText] = useState(() => moneyInput(bidSteps(auction, standing)[2]!, currency));
  const amount = parseMoney(text, currency);
  const low = amount !== null && amount < least;
  const said = floor.said.value[auction.auction_id];
  const problem = amount === null && text ? 'An amount like 19.90.' : low ? `At least ${money(least, currency)} now.` : null;
  const send = (event: Event) => {
    event.preventDefault();
    if (amount !== null && !low) floor.bid(auction, amount);
  };
  return (
    <form class="form" onSubmit={send}>
      <p class="muted small">
        Say the most you would pay. The shop bids for you, {money(auction.increment_minor, currency)} at a time, only as far as needed and never
        above it. Nobody sees your maximum.
      </p>
      <Choices
        legend="Your maximum"
        name="maximum"
        value={amount === null ? null : String(amount)}
        options={bidSteps(auction, standing).map((step) => ({ value: String(step), label: money(step, currency) }))}
        onValue={(value) => setText(moneyInput(Number(value), currency))}
        hideLegend
      />
      <Field label="Your maximum" name="max" value={text} onValue={setText} inputmode="decimal" problem={problem} hint={shippingWords(currency)} testid="max-bid" />
      <Button kind="buy" size="l" wide type="submit" disabled={amount === null || low} busy={floor.working.value.has(auction.auction_id)} testid="place-maximum">
        {auction.state === 'announced' ? 'Pre-bid up to' : 'Bid up to'} {amount === null ? '…' : money(amount, currency)}
      </Button>
      {said && (
        <p class="field-problem" role="alert" data-testid="bid-said" data-code={said.code}>
          {said.text}
        </p>
      )}
    </form>
  );
}

function shippingWords(currency: string): string {
  const shipping = config.value?.shop.flat_shipping_minor;
  return shipping ? `Tax included; delivery ${money(shipping, currency)} comes on top.` : 'Tax and delivery included.';
}

function Rules({ auction }: { auction: AuctionView }) {
  const { currency } = auction.card;
  return (
    <ul class="rules muted small">
      <li>Starts at {money(auction.start_minor, currency)}, then {money(auction.increment_minor, currency)} at a time.</li>
      <li>
        {auction.extension_s
          ? `A bid in the last ${auction.extension_s} s moves the end to ${auction.extension_s} s after it.`
          : 'Sudden death: the end does not move.'}
      </li>
      <li>A bid sent before the hammer counts if it arrives within {auction.latency_window_ms} ms after it.</li>
      {auction.has_reserve && <li>It has a reserve price: below it, it is not sold.</li>}
      <li>Bidders go by a pseudonym; the whole book is public. Who works for the shop can’t bid.</li>
    </ul>
  );
}

/** The book's newest page, and the room's latest lines on top of it. */
function Book({ auction, mine, pass }: { auction: AuctionView; mine: string | null; pass: string | null }) {
  const [whole, setWhole] = useState<readonly BidView[]>([]);
  useEffect(() => {
    let gone = false;
    api.bidBook(auction.auction_id, { pass }).then((book) => !gone && setWhole(book.bids), () => undefined);
    return () => void (gone = true);
  }, [auction.auction_id]);
  return <BidBook bids={mergedBids(whole, auction.recent ?? [])} mine={mine} currency={auction.card.currency} />;
}
