import { api } from '../../core/api.ts';
import { date, money } from '../../core/format.ts';
import type { Order } from '../../core/types.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Picture } from '../../ui/picture.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Empty, OrderBadge, ProblemNote, Skeleton } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';

export function Orders() {
  const { value, problem, reload, set } = useLoaded(() => api.orders());
  const more = useDoing();
  const orders = value?.orders;
  const next = value?.next;
  const loadMore = () =>
    more.run(async () => {
      const page = await api.orders(next);
      set({ orders: [...(orders ?? []), ...page.orders], next: page.next });
    });
  return (
    <>
      <PageHead title="Orders" />
      <ProblemNote problem={problem} retry={reload} />
      {!orders && !problem && <Skeleton height="5.5rem" lines={3} />}
      {orders?.length === 0 && (
        <Empty icon="bag" title="Nothing ordered yet" action={<LinkButton href="/" kind="primary">See what is on</LinkButton>}>
          What you buy in a show or in the shop stands here, with its receipt.
        </Empty>
      )}
      <ul class="order-cards" data-testid="orders">
        {orders?.map((order) => (
          <OrderCard key={order.id} order={order} />
        ))}
      </ul>
      <ProblemNote problem={more.problem} />
      {next && (
        <Button busy={more.busy} onClick={() => void loadMore()}>
          Show earlier orders
        </Button>
      )}
    </>
  );
}

const SHOWN = 3;

function OrderCard({ order }: { order: Order }) {
  const rest = order.lines.length - SHOWN;
  return (
    <li class="card order-card" data-testid="order-row">
      <div class="order-thumbs">
        {order.lines.slice(0, SHOWN).map((line) => (
          <span key={line.variant_id} class="order-image">
            <Picture url={line.image_url} alt="" width={96} />
          </span>
        ))}
      </div>
      <div class="grow stacked">
        <h2 class="order-name clip">
          <a class="cover-link" href={`/orders/${order.id}`}>
            {order.lines.slice(0, SHOWN).map((line) => line.title).join(', ')}
            {rest > 0 && ` and ${rest} more`}
          </a>
        </h2>
        <span class="muted small">
          No. {order.number}, {date(order.created_at)}
        </span>
      </div>
      <div class="order-end">
        <b class="tabular">{money(order.total_minor, order.currency)}</b>
        <OrderBadge state={order.state} />
      </div>
    </li>
  );
}
