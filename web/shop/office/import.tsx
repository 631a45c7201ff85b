import { useState } from 'preact/hooks';
import { LinkButton } from '../../ui/button.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Note, ProblemNote } from '../../ui/status.tsx';
import { Table } from '../../ui/table.tsx';
import { useDoing } from '../loaded.ts';
import { Back, FilePick, Panel } from './parts.tsx';
import { staff, type ImportReport } from './staff.ts';

/** A catalogue from Shopify's CSV: what was taken over, and line by line what was not. */
export function Import() {
  const [report, setReport] = useState<{ name: string; done: ImportReport } | null>(null);
  const { busy, problem, run } = useDoing();
  const send = (file: File) => {
    setReport(null);
    void run(async () => setReport({ name: file.name, done: await staff.importCsv(file) }));
  };
  return (
    <>
      <Back href="/office/catalogue">Catalogue</Back>
      <PageHead title="Import products" />
      <div class="stack">
        <Panel
          title="From Shopify’s CSV"
          lead="Products are known by their Handle: those that are here already are updated, the others added. What the file leaves out stays. A product is taken over whole or not at all."
          actions={<FilePick label="Choose a file" accept=".csv,text/csv" busy={busy} onFiles={([file]) => file && send(file)} testid="csv" />}
        >
          <div class="stack" role="status">
            <ProblemNote problem={problem} />
            {report && <Report {...report} />}
          </div>
        </Panel>
      </div>
    </>
  );
}

function Report({ name, done }: { name: string; done: ImportReport }) {
  const { created, updated, problems } = done;
  const tone = problems.length ? 'warn' : created + updated ? 'ok' : 'plain';
  return (
    <>
      <Note
        tone={tone}
        title={`${name}: ${created} added, ${updated} updated${problems.length ? `, ${problems.length} not taken over` : ''}`}
        action={
          created + updated > 0 && (
            <LinkButton href="/office/catalogue" size="s">
              See the catalogue
            </LinkButton>
          )
        }
        testid="import-report"
      >
        {problems.length ? 'Correct these lines in the file and import it again: nothing is added twice.' : null}
      </Note>
      {problems.length > 0 && (
        <Table
          caption="Lines that were not taken over"
          testid="import-problems"
          rows={problems}
          rowKey={(row) => `${row.line} ${row.code} ${row.detail}`}
          empty={null}
          columns={[
            { key: 'line', title: 'Line', align: 'end', width: '4rem', cell: (row) => <span class="tabular">{row.line}</span> },
            { key: 'detail', title: 'What is wrong', cell: (row) => row.detail },
            { key: 'code', title: 'Code', wideOnly: true, cell: (row) => <code>{row.code}</code> },
          ]}
        />
      )}
    </>
  );
}
