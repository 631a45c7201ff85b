/** One order for its buyer: how it stands, what is left to do, and its receipt. */

import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { dateTime } from '../core/format.ts';
import { paymentUi } from '../core/payment/index.ts';
import { follow } from '../core/tap.ts';
import type { Card, Order } from '../core/types.ts';
import { Button, LinkButton } from '../ui/button.tsx';
import { Sheet } from '../ui/dialog.tsx';
import { Choices } from '../ui/field.tsx';
import { CardForm } from '../ui/forms/card.tsx';
import { config, hasRole, me } from '../ui/session.ts';
import { PageHead } from '../ui/shell.tsx';
import { Failed } from '../ui/start.tsx';
import { OrderBadge, ProblemNote, Skeleton } from '../ui/status.tsx';
import '../show/checkout.css';
import { useDoing, useLoaded } from './loaded.ts';
import { Lost } from './lost.tsx';
import { AddressBlock, cardWords, OrderHistory, OrderLines, OrderTotals } from './order-parts.tsx';
import { stateWords } from './order-words.ts';
import type { PageProps } from './routes.ts';
import { SignInFirst } from './sign-in-first.tsx';

export function OrderPage({ params }: PageProps) {
  if (!me.value) return <SignInFirst lead="Your orders are behind your account." />;
  return <SignedInOrder id={params['id'] ?? ''} />;
}

function SignedInOrder({ id }: { id: string }) {
  const { value: order, problem, reload, set } = useLoaded(() => api.order(id), id);
  useEffect(() => {
    if (order?.state !== 'charging') return;
    const waiting = new AbortController();
    void follow(id, waiting.signal, (news) => news.state !== 'charging' && reload());
    return () => waiting.abort();
  }, [order?.state]);
  if (problem && !order) return problem.status === 404 || problem.status === 422 ? <NoSuchOrder /> : <Failed error={problem} retry={reload} />;
  if (!order) return <Loading />;
  return (
    <article class="order" data-testid="order" data-state={order.state}>
      <PageHead
        title={`Order ${order.number}`}
        lead={dateTime(order.created_at)}
        actions={
          <>
            <OrderBadge state={order.state} />
            <Button size="s" icon="receipt" onClick={() => print()}>
              Print
            </Button>
          </>
        }
      />
      <div class="order-columns">
        <div class="stack">
          <State order={order} onNews={set} />
          <section class="card" aria-labelledby="order-items">
            <h2 id="order-items" class="visually-hidden">
              What you ordered
            </h2>
            <OrderLines order={order} />
            <OrderTotals order={order} />
          </section>
        </div>
        <aside class="stack">
          <section class="card stack" aria-labelledby="order-to">
            <h2 id="order-to">Delivery to</h2>
            <AddressBlock address={order.address} />
            {order.card && (
              <p class="muted small">
                {order.settled_at && ['paid', 'fulfilled', 'refunded'].includes(order.state) ? 'Paid with' : 'To be paid with'} {cardWords(order.card)}
                {config.value?.payments.provider === 'demo' && '. Test mode: no money moves.'}
              </p>
            )}
          </section>
          <section class="card stack" aria-labelledby="order-history">
            <h2 id="order-history">History</h2>
            <OrderHistory order={order} />
          </section>
          {order.show_id && (
            <a href={`/shows/${order.show_id}`} class="no-print">
              The show you bought it in
            </a>
          )}
          {hasRole('owner', 'producer') && (
            <a href={`/office/orders/${order.id}`} class="no-print">
              Open in the back office
            </a>
          )}
        </aside>
      </div>
    </article>
  );
}

/** How it stands, announced when it changes; with what its buyer can do about it. */
function State({ order, onNews }: { order: Order; onNews: (order: Order) => void }) {
  const { busy, problem, run } = useDoing();
  const [paying, setPaying] = useState(false);
  const words = stateWords(order);
  const tone = order.state === 'declined' ? 'danger' : order.state === 'action_needed' ? 'warn' : ['paid', 'fulfilled'].includes(order.state) ? 'ok' : 'plain';
  const confirm = () =>
    run(async () => {
      if (order.client_secret) await (await paymentUi(config.value!.payments)).authenticate(order.client_secret);
      onNews(await api.authenticated(order.id));
    });
  const cancel = () => run(async () => onNews(await api.cancelOrder(order.id)));
  const retry = (card: Card) =>
    run(async () => {
      setPaying(false);
      await api.retryOrder(order.id, card.id);
      onNews(await api.order(order.id));
    });
  return (
    <section class={`order-state tone-${tone}`} aria-label="State">
      <div role="status">
        <strong>{words.title}</strong>
        <p>{words.text}</p>
      </div>
      <ProblemNote problem={problem} />
      {order.state === 'action_needed' && order.client_secret && (
        <div class="row wrap">
          <Button kind="primary" icon="lock" busy={busy} onClick={() => void confirm()} testid="authenticate">
            Confirm with your bank
          </Button>
          <Button disabled={busy} onClick={() => void cancel()} testid="cancel-order">
            Cancel the order
          </Button>
        </div>
      )}
      {order.state === 'declined' && !order.auction_id && (
        <div class="row wrap">
          <Button kind="primary" icon="card" busy={busy} onClick={() => setPaying(true)} testid="another-card">
            Pay with another card
          </Button>
        </div>
      )}
      <Sheet open={paying} onClose={() => setPaying(false)} title="Pay with another card" testid="retry-sheet">
        <AnotherCard declined={order.card ?? null} onCard={(card) => void retry(card)} />
      </Sheet>
    </section>
  );
}

function AnotherCard(props: { declined: { brand: string; last4: string } | null; onCard: (card: Card) => void }) {
  const { value, problem, reload } = useLoaded(() => api.cards());
  const [chosen, choose] = useState<string | null>(null);
  if (problem) return <ProblemNote problem={problem} retry={reload} />;
  if (!value) return <Skeleton height="3.5rem" lines={3} />;
  const others = value.cards.filter((card) => card.last4 !== props.declined?.last4 || card.brand !== props.declined.brand);
  const card = others.find(({ id }) => id === chosen) ?? others[0];
  return (
    <div class="stack">
      {card && (
        <>
          <Choices
            legend="Saved cards"
            name="card"
            value={card.id}
            onValue={choose}
            options={others.map((one) => ({ value: one.id, label: cardWords(one) }))}
          />
          <Button kind="primary" size="l" wide icon="lock" onClick={() => props.onCard(card)} testid="pay-with-card">
            Pay with {cardWords(card)}
          </Button>
          <p class="or">or a new card</p>
        </>
      )}
      <CardForm submit="Save card and pay" onDone={props.onCard} />
    </div>
  );
}

function Loading() {
  return (
    <div class="stack" aria-busy="true">
      <span class="visually-hidden">Loading</span>
      <Skeleton width="12rem" height="2rem" />
      <Skeleton height="5rem" />
      <Skeleton height="14rem" />
    </div>
  );
}

function NoSuchOrder() {
  return (
    <Lost icon="receipt" title="There is no such order here" action={<LinkButton href="/account/orders">Your orders</LinkButton>}>
      It may belong to another account than the one you are signed in with.
    </Lost>
  );
}

