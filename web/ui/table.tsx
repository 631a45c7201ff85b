import type { ComponentChildren } from 'preact';
import { Skeleton } from './status.tsx';

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  align?: 'end';
  /** Left out on a phone. */
  wideOnly?: boolean;
  width?: string;
}

/** Rows under headings; `rows` null while loading. On narrow screens it scrolls inside itself, never the page. */
export function Table<Row>(props: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[] | null;
  rowKey: (row: Row) => string;
  empty: ComponentChildren;
  onOpen?: (row: Row) => void;
  testid?: string;
}) {
  const { caption, columns, rows, rowKey, empty, onOpen, testid } = props;
  if (rows && rows.length === 0) return <>{empty}</>;
  const classOf = (column: Column<Row>) =>
    `${column.align === 'end' ? 'end' : ''}${column.wideOnly ? ' wide-only' : ''}` || undefined;
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={caption}>
      <table class="table" data-testid={testid} aria-busy={rows ? undefined : 'true'}>
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.key} scope="col" class={classOf(column)} style={column.width ? { width: column.width } : undefined}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows
            ? rows.map((row) => (
                <tr key={rowKey(row)} class={onOpen ? 'opens' : undefined} onClick={onOpen && (() => onOpen(row))}>
                  {columns.map((column) => (
                    <td key={column.key} class={classOf(column)}>
                      {column.cell(row)}
                    </td>
                  ))}
                </tr>
              ))
            : [1, 2, 3].map((row) => (
                <tr key={row}>
                  {columns.map((column) => (
                    <td key={column.key} class={classOf(column)}>
                      <Skeleton />
                    </td>
                  ))}
                </tr>
              ))}
        </tbody>
      </table>
    </div>
  );
}
