import { dateTime } from '../../core/format.ts';
import { Button } from '../../ui/button.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Empty, ProblemNote } from '../../ui/status.tsx';
import { Table } from '../../ui/table.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { actionWords, detailWords, placeOf } from './activity-words.ts';
import { staff, type AuditEntry } from './staff.ts';

export function Activity() {
  const { value, problem, reload, set } = useLoaded(() => staff.audit());
  const more = useDoing();
  const loadMore = () =>
    more.run(async () => {
      const page = await staff.audit(value?.next);
      set({ entries: [...(value?.entries ?? []), ...page.entries], next: page.next });
    });
  return (
    <>
      <PageHead title="Activity" lead="What the team did, the latest first." />
      <div class="stack">
        <ProblemNote problem={problem} retry={reload} />
        {!(problem && !value) && (
          <Table<AuditEntry>
            caption="Activity"
            testid="activity"
            rows={value?.entries ?? null}
            rowKey={(entry) => String(entry.id)}
            empty={
              <Empty icon="chart" title="Nothing has been done yet">
                Changes to shows, products, orders and people are written down here.
              </Empty>
            }
            columns={[
              { key: 'at', title: 'When', cell: (entry) => <time dateTime={entry.at}>{dateTime(entry.at)}</time> },
              { key: 'who', title: 'Who', cell: (entry) => entry.actor_name ?? 'Hawker' },
              { key: 'what', title: 'What', cell: whatOf },
              { key: 'detail', title: 'Details', wideOnly: true, cell: (entry) => <span class="muted small">{detailWords(entry.detail, currency.value)}</span> },
            ]}
          />
        )}
        <ProblemNote problem={more.problem} />
        {value?.next && (
          <Button busy={more.busy} onClick={() => void loadMore()}>
            Show earlier
          </Button>
        )}
      </div>
    </>
  );
}

function whatOf(entry: AuditEntry) {
  const place = placeOf(entry);
  return (
    <>
      {place ? <a href={place}>{actionWords(entry.action)}</a> : actionWords(entry.action)}
      {entry.about && <span class="muted"> {entry.about}</span>}
    </>
  );
}
