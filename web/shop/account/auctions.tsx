import { api } from '../../core/api.ts';
import { money } from '../../core/format.ts';
import type { BidderRow } from '../../core/types.ts';
import { LinkButton } from '../../ui/button.tsx';
import { Picture } from '../../ui/picture.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Empty, ProblemNote, Skeleton, type Tone } from '../../ui/status.tsx';
import { useLoaded } from '../loaded.ts';

/** Auctions this person bid in: won, to pay, running, lost. */
export function MyAuctions() {
  const { value, problem, reload } = useLoaded(() => api.myAuctions());
  return (
    <>
      <PageHead title="Auctions" lead="What you bid on, and what you won." />
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="5.5rem" lines={2} />}
      {value?.auctions.length === 0 && (
        <Empty icon="gavel" title="No bids yet" action={<LinkButton href="/" kind="primary">See what is on</LinkButton>}>
          Auctions run in the shows. What you bid on stands here.
        </Empty>
      )}
      <ul class="order-cards" data-testid="my-auctions">
        {value?.auctions.map((row) => (
          <Row key={row.auction.auction_id} row={row} />
        ))}
      </ul>
    </>
  );
}

const WORDS: Record<BidderRow['standing']['state'], [Tone, string]> = {
  leading: ['ok', 'You lead'],
  outbid: ['warn', 'Outbid'],
  won: ['ok', 'Won'],
  payment_failed: ['danger', 'Payment failed'],
  lost: ['plain', 'Not won'],
};

function Row({ row }: { row: BidderRow }) {
  const { auction, standing } = row;
  const [tone, word] = WORDS[standing.state];
  const running = auction.state === 'announced' || auction.state === 'open';
  const price = money(auction.price_minor, auction.card.currency);
  return (
    <li class="card wait-row" data-testid="my-auction" data-state={standing.state}>
      <span class="order-image">
        <Picture url={auction.card.image_url} alt="" width={96} />
      </span>
      <div class="grow stacked">
        <h2 class="order-name clip">
          <a href={`/auctions/${auction.auction_id}`}>{auction.card.title}</a>
        </h2>
        <span class="muted small">
          {running ? `At ${price}` : `Hammer at ${price}`}, as {standing.alias}, up to {money(standing.max_minor, auction.card.currency)}
        </span>
        {standing.reason && <span class="small">{standing.reason} You were not charged.</span>}
      </div>
      <div class="order-end">
        <Badge tone={tone}>{word}</Badge>
        {(standing.state === 'won' || standing.state === 'payment_failed') && standing.order_id && (
          <LinkButton href={`/orders/${standing.order_id}`} size="s">
            The order
          </LinkButton>
        )}
        {running && (
          <LinkButton href={`/shows/${row.show_id}`} size="s">
            To the show
          </LinkButton>
        )}
      </div>
    </li>
  );
}
