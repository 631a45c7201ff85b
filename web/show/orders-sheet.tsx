import { useEffect } from 'preact/hooks';
import { dateTime, money } from '../core/format.ts';
import type { Order } from '../core/types.ts';
import { Sheet } from '../ui/dialog.tsx';
import { Picture } from '../ui/picture.tsx';
import { Empty, OrderBadge, ProblemNote, Skeleton } from '../ui/status.tsx';
import type { ShowStore } from './store.ts';

/** The buyer's orders; their states change while one looks. */
export function OrdersSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'orders';
  const { checkout } = store;
  useEffect(() => {
    if (open) void checkout.loadOrders();
  }, [open]);
  const orders = checkout.orders.value;
  return (
    <Sheet open={open} onClose={() => store.open(null)} title="Your orders" testid="orders-sheet">
      <ProblemNote problem={checkout.ordersProblem.value} retry={() => void checkout.loadOrders()} />
      {!orders && !checkout.ordersProblem.value && <Skeleton height="4rem" lines={3} />}
      {orders?.length === 0 && (
        <Empty icon="receipt" title="No orders yet">
          What you buy appears here at once, and stays in your account.
        </Empty>
      )}
      <ul class="list">
        {orders?.map((order) => (
          <OrderRow key={order.id} order={order} />
        ))}
      </ul>
    </Sheet>
  );
}

function OrderRow({ order }: { order: Order }) {
  const first = order.lines[0];
  const count = order.lines.reduce((sum, line) => sum + line.quantity, 0);
  const failed = order.state === 'declined' && order.failure_message;
  return (
    <li class="product row" data-testid="order-row" data-order={order.id} data-state={order.state}>
      <span class="product-image">
        <Picture url={first?.image_url} alt="" width={96} sizes="68px" />
      </span>
      <div class="product-text">
        <p class="product-title">
          <a class="cover-link" href={`/orders/${order.id}`} target="_blank" rel="noopener">
            {first?.title ?? 'Order'}
            {count > (first?.quantity ?? 0) && ` and ${count - (first?.quantity ?? 0)} more`}
          </a>
        </p>
        <p class="muted small">
          No. {order.number} · {dateTime(order.created_at)}
        </p>
        {failed && <p class="small stock gone">{order.failure_message}</p>}
      </div>
      <div class="order-end">
        <span class="money tabular">{money(order.total_minor, order.currency)}</span>
        <OrderBadge state={order.state} />
      </div>
    </li>
  );
}
