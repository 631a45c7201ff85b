import { useState } from 'preact/hooks';
import { dateTime, money } from '../../core/format.ts';
import { Button } from '../../ui/button.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Empty, OrderBadge, ProblemNote } from '../../ui/status.tsx';
import { Table } from '../../ui/table.tsx';
import { useDoing, useLoaded, useSettled } from '../loaded.ts';
import { Filters, SearchField } from './parts.tsx';
import { staff, type StaffOrder } from './staff.ts';

const STATES = [
  { value: 'paid', label: 'To send' },
  { value: '', label: 'All' },
  { value: 'fulfilled', label: 'Sent' },
  { value: 'action_needed', label: 'Waiting' },
  { value: 'declined', label: 'Declined' },
  { value: 'refunded', label: 'Refunded' },
  { value: 'owed', label: 'Money owed' },
] as const;

type StateName = (typeof STATES)[number]['value'];

export function Orders() {
  const [state, setState] = useState<StateName>(location.search === '?owed' ? 'owed' : 'paid');
  const [words, setWords] = useState('');
  const q = useSettled(words.trim());
  const { value, problem, reload, set } = useLoaded(() => staff.orders({ ...wanted(state), q }), `${state} ${q}`);
  const more = useDoing();
  const loadMore = () =>
    more.run(async () => {
      const page = await staff.orders({ ...wanted(state), q, cursor: value?.next ?? null });
      set({ orders: [...(value?.orders ?? []), ...page.orders], next: page.next });
    });
  return (
    <>
      <PageHead title="Orders" />
      <div class="stack">
        <div class="list-tools">
          <Filters label="State" value={state} options={STATES} onValue={setState} />
          <SearchField label="Number, name or e-mail" value={words} onValue={setWords} />
        </div>
        <ProblemNote problem={problem} retry={reload} />
        {!(problem && !value) && (
          <Table<StaffOrder>
            caption="Orders"
            testid="orders"
            rows={value?.orders ?? null}
            rowKey={(order) => order.id}
            onOpen={(order) => location.assign(`/office/orders/${order.id}`)}
            empty={<NoOrders state={state} sought={q} />}
            columns={[
              { key: 'number', title: 'Order', cell: (order) => <a href={`/office/orders/${order.id}`}>{order.number}</a> },
              { key: 'buyer', title: 'Buyer', cell: (order) => <span class="stacked"><b>{order.buyer_name ?? 'Deleted account'}</b><span class="muted small wide-only">{order.buyer_email}</span></span> },
              { key: 'what', title: 'What', wideOnly: true, cell: whatOf },
              { key: 'when', title: 'When', wideOnly: true, cell: (order) => <time class="nowrap" dateTime={order.created_at}>{dateTime(order.created_at)}</time> },
              { key: 'state', title: 'State', cell: (order) => <OrderBadge state={order.state} /> },
              { key: 'total', title: 'Total', align: 'end', cell: totalOf },
            ]}
          />
        )}
        <ProblemNote problem={more.problem} />
        {value?.next && (
          <Button busy={more.busy} onClick={() => void loadMore()}>
            Show earlier orders
          </Button>
        )}
      </div>
    </>
  );
}

const wanted = (state: StateName) => (state === 'owed' ? { owed: 'true' as const } : { state });

const totalOf = (order: StaffOrder) => (
  <span class="stacked tabular">
    <b>{money(order.total_minor, order.currency)}</b>
    {order.owed_minor > 0 && <span class="small owed">{money(order.owed_minor, order.currency)} owed</span>}
  </span>
);

function whatOf(order: StaffOrder): string {
  const [first, ...rest] = order.lines;
  if (!first) return '';
  const words = first.quantity > 1 ? `${first.quantity} × ${first.title}` : first.title;
  return rest.length ? `${words} and ${rest.length} more` : words;
}

function NoOrders(props: { state: StateName; sought: string }) {
  if (props.sought)
    return (
      <Empty icon="search" title={`Nothing found for “${props.sought}”`}>
        Search for an order’s number, or part of a name or address.
      </Empty>
    );
  if (props.state === 'paid')
    return (
      <Empty icon="check" title="Everything is sent">
        Paid orders wait here until you mark them as sent.
      </Empty>
    );
  if (props.state === 'owed')
    return (
      <Empty icon="check" title="Nothing is owed">
        Orders stand here when a bank refuses or returns a refund.
      </Empty>
    );
  return (
    <Empty icon="receipt" title="No orders here">
      {props.state ? 'No order is in this state.' : 'The first sale of a show or the shop appears here.'}
    </Empty>
  );
}
