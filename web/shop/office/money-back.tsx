/** Money back for many orders: the show is cancelled, or a product is withdrawn. */

import { useEffect, useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { dateTime, money } from '../../core/format.ts';
import { Problem } from '../../core/problem.ts';
import { uuidv7 } from '../../core/uuidv7.ts';
import { Button } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { Checkbox, Field, Select } from '../../ui/field.tsx';
import { currency } from '../../ui/session.ts';
import { Badge, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Panel } from './parts.tsx';
import { staff, type RefundRun, type RefundRuns } from './staff.ts';

const AGAIN_MS = 2_000;

export function MoneyBack({ showId, onCancelled }: { showId: string; onCancelled: () => void }) {
  const { value, problem, reload } = useLoaded(() => staff.refundRuns({ show_id: showId }), showId);
  const [asking, setAsking] = useState<'cancel' | 'refund' | null>(null);
  const under_way = value?.runs.some(isUnderWay) ?? false;
  useEffect(() => {
    if (!under_way) return;
    const timer = setTimeout(reload, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [value]);
  if (!value) return problem ? <ProblemNote problem={problem} retry={reload} /> : <Skeleton height="5rem" />;
  const cancelled = value.runs.some((run) => run.cancels_show);
  return (
    <Panel
      title="Money back"
      lead={paidWords(value)}
      testid="money-back"
      actions={
        <>
          {value.to_send + value.sent > 0 && (
            <Button onClick={() => setAsking('refund')} aria-haspopup="dialog" testid="refund-many">
              Refund orders
            </Button>
          )}
          {!cancelled && (
            <Button onClick={() => setAsking('cancel')} aria-haspopup="dialog" testid="cancel-show">
              Cancel the show
            </Button>
          )}
        </>
      }
    >
      {value.runs.length > 0 && (
        <ul class="list">
          {value.runs.map((run) => (
            <RunRow key={run.id} run={run} />
          ))}
        </ul>
      )}
      <Sheet open={asking !== null} onClose={() => setAsking(null)} title={asking === 'cancel' ? 'Cancel the show' : 'Refund orders'} testid="money-back-sheet">
        {asking && (
          <RunForm
            showId={showId}
            cancel={asking === 'cancel'}
            onDone={() => {
              setAsking(null);
              reload();
              if (asking === 'cancel') onCancelled();
              toast(asking === 'cancel' ? 'The show is cancelled.' : 'The refunds are under way.', 'ok');
            }}
          />
        )}
      </Sheet>
    </Panel>
  );
}

const isUnderWay = (run: RefundRun) => !run.done_at || run.given + run.failed < run.asked;

function paidWords(found: RefundRuns): string {
  const parts = [
    found.to_send && `${orders(found.to_send)} to send (${money(found.to_send_minor, currency.value)})`,
    found.sent && `${orders(found.sent)} already sent (${money(found.sent_minor, currency.value)})`,
  ].filter(Boolean);
  return parts.length ? `Paid: ${parts.join(', ')}.` : 'No paid order of this show has money left to give back.';
}

const orders = (count: number) => (count === 1 ? '1 order' : `${count} orders`);

function standingOf(run: RefundRun): string {
  if (run.asked) return `${run.given} of ${orders(run.asked)} refunded, ${money(run.given_minor, currency.value)}.`;
  return run.done_at ? 'No order had money left to give back.' : 'Begins in a moment.';
}

function RunRow({ run }: { run: RefundRun }) {
  const about = run.cancels_show ? 'Show cancelled' : (run.product_title ?? 'All orders');
  return (
    <li class="run" data-testid="refund-run">
      <span class="row spread wrap">
        <b>{about}</b>
        {isUnderWay(run) ? <Badge tone="warn">Under way</Badge> : run.failed ? <Badge tone="danger">{run.failed} failed</Badge> : <Badge tone="ok">Done</Badge>}
      </span>
      {isUnderWay(run) && <progress aria-label="Refunds" max={Math.max(run.asked, 1)} value={run.given + run.failed} />}
      <span class="small">
        {standingOf(run)}{' '}
        {run.failed > 0 && <a href="/office/orders?owed">See what is owed</a>}
      </span>
      <span class="muted small">
        {run.reason} · {run.asked_by_name ?? 'Deleted account'}, {dateTime(run.created_at)}
      </span>
    </li>
  );
}

function RunForm({ showId, cancel, onDone }: { showId: string; cancel: boolean; onDone: () => void }) {
  const show = useLoaded(() => api.show(showId), showId).value;
  const [id] = useState(() => uuidv7());
  const [product, setProduct] = useState('');
  const [reason, setReason] = useState(cancel ? 'The show was cancelled' : '');
  const [sent, setSent] = useState(false);
  const [restock, setRestock] = useState(cancel);
  const reach = useLoaded(() => staff.refundRuns({ show_id: showId, product_id: product || null }), product).value;
  const { busy, problem, run } = useDoing();
  const minor = (reach?.to_send_minor ?? 0) + (sent ? (reach?.sent_minor ?? 0) : 0);
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      if (!reason.trim()) throw new Problem({ code: 'invalid_body', fields: { reason: 'Say why: it stays in each order’s history.' } });
      await staff.refundMany({ id, show_id: showId, product_id: product || null, cancel_show: cancel, reason: reason.trim(), sent_too: sent, restock });
      onDone();
    });
  };
  return (
    <form class="form" onSubmit={submit} noValidate>
      <p>
        {cancel && 'The show ends for good; drops that have not opened and auctions are called off. '}
        {product ? 'Buyers get back what they paid for it; with delivery where they bought nothing else.' : 'Each buyer gets back what is left of the payment.'} What was
        refunded before counts. A mail tells them.
      </p>
      <ProblemNote problem={problem && !Object.keys(problem.fields).length ? problem : null} />
      {!cancel && show && show.items.length > 0 && (
        <Select
          label="What"
          name="product"
          value={product}
          onValue={setProduct}
          options={[{ value: '', label: 'Whole orders of this show' }, ...show.items.map(({ product: { id, title } }) => ({ value: id, label: `Only “${title}”` }))]}
          testid="refund-what"
        />
      )}
      <Field label="Reason" name="reason" value={reason} onValue={setReason} maxLength={200} hint="Kept with each order; buyers can read it." problem={problem?.fields['reason']} testid="run-reason" />
      {reach !== null && reach.sent > 0 && <Checkbox label={`Also orders that were sent: ${orders(reach.sent)}, ${money(reach.sent_minor, currency.value)}`} checked={sent} onValue={setSent} testid="sent-too" />}
      <Checkbox label="Put the items back on sale (of orders refunded in full)" checked={restock} onValue={setRestock} />
      <Button type="submit" kind={cancel ? 'danger' : 'primary'} size="l" wide busy={busy} disabled={!cancel && !minor} testid="run-confirm">
        {cancel ? (minor ? `Cancel, refund ${money(minor, currency.value)}` : 'Cancel the show') : `Refund ${money(minor, currency.value)}`}
      </Button>
    </form>
  );
}
