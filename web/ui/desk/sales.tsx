import { relative } from '../../core/format.ts';
import { Icon } from '../icons.tsx';
import { Money } from '../money.tsx';
import { currency } from '../session.ts';
import { Skeleton } from '../status.tsx';
import { useNow } from './clock.ts';
import type { DeskStore } from './store.ts';

const TICKER_ROWS = 30;

/** Orders, units and revenue of this show, for those who run it. */
export function Totals({ store }: { store: DeskStore }) {
  if (!store.seesSales) return null;
  const sold = store.summary.value;
  return (
    <dl class="tiles" data-testid="sales" aria-label="Sales of this show">
      <Tile name="Revenue" testid="revenue">{sold && <Money minor={sold.revenue_minor} currency={currency.value} />}</Tile>
      <Tile name="Paid orders" testid="paid">{sold?.paid.toLocaleString()}</Tile>
      <Tile name="Units" testid="units">{sold?.units.toLocaleString()}</Tile>
    </dl>
  );
}

function Tile(props: { name: string; testid: string; children: preact.ComponentChildren }) {
  return (
    <div class="tile">
      <dt>{props.name}</dt>
      <dd class="tabular" data-testid={props.testid}>{props.children ?? <Skeleton width="3.5rem" />}</dd>
    </div>
  );
}

/** The latest purchases, as they come. */
export function Ticker({ store }: { store: DeskStore }) {
  const now = useNow(() => store.connection?.clock.serverNow() ?? Date.now(), 10_000);
  const sales = store.sales.value.slice(0, TICKER_ROWS);
  if (sales.length === 0) return <p class="quiet-empty">Purchases appear here the moment they are paid.</p>;
  return (
    <ol class="ticker" data-testid="ticker" aria-label="Latest purchases">
      {sales.map((sale) => (
        <li key={sale.key}>
          <Icon name="bag" size={16} />
          <span class="grow clip">
            <b>{sale.first_name ?? 'Somebody'}</b> bought {sale.quantity > 1 ? `${sale.quantity} × ` : ''}
            {sale.product_title}
          </span>
          <time class="tabular" dateTime={new Date(sale.at_ms).toISOString()}>
            {relative(Math.min(sale.at_ms, now), now)}
          </time>
        </li>
      ))}
    </ol>
  );
}
