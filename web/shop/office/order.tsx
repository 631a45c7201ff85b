import { useState } from 'preact/hooks';
import { dateTime, money, moneyInput, parseMoney } from '../../core/format.ts';
import { Problem } from '../../core/problem.ts';
import { uuidv7 } from '../../core/uuidv7.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { Checkbox, Field } from '../../ui/field.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { Note, OrderBadge, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Lost } from '../lost.tsx';
import { AddressBlock, cardWords, OrderHistory, OrderLines, OrderTotals } from '../order-parts.tsx';
import { Asking, Back, Panel } from './parts.tsx';
import { staff, type StaffOrder } from './staff.ts';

export function OrderDetail({ id }: { id: string }) {
  const { value: order, problem, reload, set } = useLoaded(() => staff.order(id), id);
  const sending = useDoing();
  const [refunding, setRefunding] = useState(false);
  if (problem && !order) return problem.status === 404 ? <NoSuchOrder /> : <Failed error={problem} retry={reload} />;
  if (!order) return <Skeleton height="6rem" lines={3} />;
  const send = async () => {
    if (await sending.run(async () => set(await staff.fulfil(id)))) toast('Marked as sent. The buyer gets a mail.', 'ok');
  };
  const refundable = ['paid', 'fulfilled', 'refunded'].includes(order.state) && leftOf(order) > 0;
  return (
    <article class="order" data-testid="order" data-state={order.state}>
      <Back href="/office/orders">Orders</Back>
      <PageHead
        title={`Order ${order.number}`}
        lead={
          <>
            {dateTime(order.created_at)} <OrderBadge state={order.state} />
          </>
        }
        actions={
          <>
            <Button icon="receipt" onClick={() => print()}>
              Print
            </Button>
            {refundable && (
              <Button onClick={() => setRefunding(true)} aria-haspopup="dialog" testid="refund">
                Refund
              </Button>
            )}
            {order.state === 'paid' && (
              <Button kind="primary" icon="box" busy={sending.busy} onClick={() => void send()} testid="fulfil">
                Mark as sent
              </Button>
            )}
          </>
        }
      />
      <div class="order-columns">
        <div class="stack">
          <ProblemNote problem={sending.problem} />
          <Standing order={order} />
          {order.owed_minor > 0 && <Owed order={order} onPaid={set} />}
          <Panel title="Items">
            <OrderLines order={order} />
            <OrderTotals order={order} />
          </Panel>
        </div>
        <aside class="stack">
          <Panel title="Send to">
            <AddressBlock address={order.address} />
          </Panel>
          <Panel title="Buyer">
            <p class="stacked">
              <b>{order.buyer_name ?? 'Deleted account'}</b>
              {order.buyer_email && <a href={`mailto:${order.buyer_email}`}>{order.buyer_email}</a>}
              {order.card && <span class="muted small">{cardWords(order.card)}</span>}
            </p>
            {order.show_id && <a href={`/office/shows/${order.show_id}`}>Bought in a show</a>}
          </Panel>
          <Panel title="History">
            <OrderHistory order={order} />
          </Panel>
        </aside>
      </div>
      <Sheet open={refunding} onClose={() => setRefunding(false)} title="Refund" testid="refund-sheet">
        {refunding && (
          <RefundForm
            order={order}
            onDone={(changed) => {
              set(changed);
              setRefunding(false);
              toast('The refund is under way.', 'ok');
            }}
          />
        )}
      </Sheet>
    </article>
  );
}

const leftOf = (order: StaffOrder) => order.total_minor - order.refunded_minor - order.repaid_minor;

function Standing({ order }: { order: StaffOrder }) {
  if (order.state === 'declined')
    return (
      <Note tone="danger" title="The card was declined">
        {order.failure_message ?? 'The bank gave no reason.'} {order.auction_id ? 'The unit goes to the next bidder.' : 'The stock is free again; the buyer can try another card.'}
      </Note>
    );
  if (order.state === 'action_needed')
    return (
      <Note tone="warn" title="Waits for the buyer’s bank">
        The stock is held until the buyer confirms or time runs out.
      </Note>
    );
  if (order.state === 'charging')
    return (
      <Note title="Being charged">
        The stock is held until the payment provider has answered.
      </Note>
    );
  return null;
}

/** A refund that did not reach its buyer: try the card again, or say that it was paid otherwise. */
function Owed({ order, onPaid }: { order: StaffOrder; onPaid: (order: StaffOrder) => void }) {
  const [how, setHow] = useState('');
  const work = async () => onPaid(await staff.owedPaid(order.id, how.trim() || 'in another way'));
  return (
    <>
      <Note tone="danger" title={`${money(order.owed_minor, order.currency)} is owed to the buyer`} testid="owed">
        The bank did not take the refund. Refund again, or pay the buyer in another way.
      </Note>
      <div class="row">
        <Asking label="Paid another way" title="Paid back in another way?" confirm="Yes, it is paid" work={work} testid="owed-paid">
          <div class="stack">
            <p>By bank transfer, or in cash. The order’s history keeps it.</p>
            <Field label="How" name="how" value={how} onValue={setHow} maxLength={200} optional />
          </div>
        </Asking>
      </div>
    </>
  );
}

/** Gives money back. The id is made once a form, so that sending it twice refunds once. */
function RefundForm({ order, onDone }: { order: StaffOrder; onDone: (order: StaffOrder) => void }) {
  const left = leftOf(order);
  const [id] = useState(() => uuidv7());
  const [amount, setAmount] = useState(moneyInput(left, order.currency));
  const [reason, setReason] = useState('');
  const [restock, setRestock] = useState(false);
  const { busy, problem, run } = useDoing();
  const minor = parseMoney(amount, order.currency);
  const whole = minor === left && order.refunded_minor === 0 && order.state !== 'refunded';
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      if (!minor || minor > left)
        throw new Problem({ code: 'invalid_body', fields: { amount_minor: `An amount up to ${money(left, order.currency)}.` } });
      if (!reason.trim()) throw new Problem({ code: 'invalid_body', fields: { reason: 'Say why: it stays in the order’s history.' } });
      onDone(await staff.refund(order.id, { id, amount_minor: minor, reason: reason.trim(), restock: restock && whole }));
    });
  };
  return (
    <form class="form" onSubmit={submit} noValidate>
      <ProblemNote problem={problem && !Object.keys(problem.fields).length ? problem : null} />
      <Field
        label="Amount"
        name="amount"
        prefix={order.currency}
        inputmode="decimal"
        value={amount}
        onValue={setAmount}
        hint={`At most ${money(left, order.currency)}.`}
        problem={problem?.fields['amount_minor']}
        testid="refund-amount"
      />
      <Field label="Reason" name="reason" value={reason} onValue={setReason} maxLength={200} hint="Kept with the order." problem={problem?.fields['reason']} testid="refund-reason" />
      <Checkbox label="Put the items back on sale (full refunds only)" checked={restock && whole} disabled={!whole} onValue={setRestock} />
      <Button type="submit" kind="primary" size="l" wide busy={busy} testid="refund-confirm">
        Refund {minor ? money(minor, order.currency) : ''}
      </Button>
    </form>
  );
}

function NoSuchOrder() {
  return (
    <Lost icon="receipt" title="There is no such order" action={<LinkButton href="/office/orders">All orders</LinkButton>}>
      The address may be mistyped.
    </Lost>
  );
}
