import { useEffect, useMemo } from 'preact/hooks';
import type { WaitlistRow } from '../../core/types.ts';
import { CheckoutSheet } from '../../show/checkout-sheet.tsx';
import { Outcome } from '../../show/outcome.tsx';
import { LinkButton } from '../../ui/button.tsx';
import { Picture } from '../../ui/picture.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Empty, ProblemNote, Skeleton } from '../../ui/status.tsx';
import { Waitlist } from '../../ui/waitlist.tsx';
import { Counter } from '../counter.ts';
import { useLoaded } from '../loaded.ts';
import { Till } from '../till.ts';

/** What this person waits for, and whose turn it is. */
export function MyWaitlist() {
  const till = useMemo(() => new Till(), []);
  const counter = useMemo(() => new Counter(till), [till]);
  const { problem, reload } = useLoaded(() => counter.ask().then(() => true));
  const step = till.checkout.purchase.value.step;
  useEffect(() => {
    void till.checkout.loadWallet();
    return counter.open();
  }, [counter]);
  useEffect(() => {
    if (['paid', 'refused', 'declined'].includes(step)) void counter.ask().catch(() => undefined);
  }, [step]);
  const rows = counter.rows.value;
  return (
    <>
      <PageHead title="Waitlist" lead="When one is free again it is kept for you, for a while." />
      <ProblemNote problem={rows ? null : problem} retry={reload} />
      <Outcome store={till} />
      {!rows && !problem && <Skeleton height="5.5rem" lines={2} />}
      {rows?.length === 0 && (
        <Empty icon="clock" title="You wait for nothing" action={<LinkButton href="/products" kind="primary">Browse the shop</LinkButton>}>
          Join the waitlist of what is sold out; your place stands here.
        </Empty>
      )}
      <ul class="order-cards" data-testid="waitlist-rows">
        {rows?.map((row) => (
          <Row key={row.variant_id} row={row} counter={counter} />
        ))}
      </ul>
      <CheckoutSheet store={till} />
    </>
  );
}

function Row({ row, counter }: { row: WaitlistRow; counter: Counter }) {
  const title = row.product?.title ?? 'A product';
  return (
    <li class="card wait-row" data-testid="waitlist-row" data-state={row.state}>
      <span class="order-image">
        <Picture url={row.product?.image_url} alt="" width={96} />
      </span>
      <div class="grow stacked">
        <h2 class="order-name clip">{row.product ? <a href={`/products/${row.product.handle}`}>{title}</a> : title}</h2>
        {row.variant_title && <span class="muted small">{row.variant_title}</span>}
      </div>
      <div class="wait-way">
        {row.state === 'bought' ? (
          <p class="muted small">You bought it.</p>
        ) : (
          <Waitlist waiting={counter} variantId={row.variant_id} title={title} currency={currency.value} quantity={row.quantity} />
        )}
      </div>
    </li>
  );
}
