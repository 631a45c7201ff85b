import { money } from '../core/format.ts';
import type { BidView } from '../core/protocol.ts';
import './selling.css';

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit', second: '2-digit' });

/** Every bid with its bidder's pseudonym, the newest first. */
export function BidBook(props: { bids: readonly BidView[]; mine: string | null; currency: string }) {
  const { mine, currency } = props;
  const bids = [...props.bids].sort((a, b) => b.bid_n - a.bid_n);
  if (bids.length === 0) return <p class="muted small">No bids yet.</p>;
  return (
    <ol class="bid-book" data-testid="bid-book">
      {bids.map((bid) => (
        <li key={bid.bid_n} class={bid.retracted ? 'retracted' : ''} data-testid="bid-line">
          <span class="muted tabular">{bid.bid_n}</span>
          <span class="grow">
            {bid.alias}
            {bid.alias === mine && <b> (you)</b>}
            {bid.retracted && <small> taken back</small>}
          </span>
          <time class="muted small tabular" dateTime={new Date(bid.at_ms).toISOString()}>
            {clock.format(bid.at_ms)}
          </time>
          <b class="tabular">{bid.retracted ? <s>{money(bid.amount_minor, currency)}</s> : money(bid.amount_minor, currency)}</b>
        </li>
      ))}
    </ol>
  );
}
