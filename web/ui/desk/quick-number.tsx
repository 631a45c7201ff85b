import type { Signal } from '@preact/signals';
import { useEffect, useId, useState } from 'preact/hooks';
import type { Problem } from '../../core/problem.ts';
import { IconButton } from '../button.tsx';

/** What was typed and not sent, and the value it was typed over. */
export interface Draft {
  text: string;
  over: number;
}

/**
 * A number that is changed where it stands. Enter or ✓ sends it, Escape or ✕ puts back what is true; leaving the field
 * keeps the draft, marked, so that nothing half typed is ever sent. A refusal stays under the field until the next try.
 */
export function QuickNumber(props: {
  label: string;
  /** What is being changed, for those who do not see the row. */
  of: string;
  value: number;
  format: (value: number) => string;
  /** Null: no such number. */
  parse: (text: string) => number | null;
  wrong: string;
  send: (value: number) => Promise<Problem | null>;
  draft: Signal<Draft | null>;
  prefix?: string;
  inputmode: 'numeric' | 'decimal';
  testid: string;
}) {
  const { label, of, value, format, parse, wrong, send, prefix, inputmode, testid } = props;
  const id = useId();
  const draft = props.draft.value?.text ?? null;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const dirty = draft !== null && draft !== format(value);
  const overtaken = dirty && value !== props.draft.value?.over;
  // What was typed came true, perhaps by somebody else: nothing is left to send.
  useEffect(() => {
    if (draft !== null && draft === format(value)) props.draft.value = null;
  }, [value]);

  const revert = () => {
    props.draft.value = null;
    setProblem(null);
  };
  const commit = async () => {
    if (busy || draft === null) return;
    const number = parse(draft);
    if (number === null) return setProblem(wrong);
    if (number === value) return revert();
    setBusy(true);
    setProblem(null);
    const refused = await send(number);
    setBusy(false);
    if (refused) setProblem([refused.message, refused.whatToDo].filter(Boolean).join(' '));
    else props.draft.value = null;
  };

  return (
    <span class={`quick${dirty ? ' dirty' : ''}${problem ? ' wrong' : overtaken ? ' overtaken' : ''}`}>
      <label for={id}>
        {label}
        <span class="visually-hidden"> of {of}</span>
      </label>
      <span class="quick-box" style={prefix ? { '--prefix': `${prefix.length}ch` } : undefined}>
        {prefix && <i aria-hidden="true">{prefix}</i>}
        <input
          id={id}
          class="tabular"
          value={draft ?? format(value)}
          inputMode={inputmode}
          autocomplete="off"
          enterkeyhint="done"
          readOnly={busy}
          aria-busy={busy}
          aria-invalid={problem ? 'true' : undefined}
          aria-describedby={problem || dirty ? `${id}-note` : undefined}
          data-testid={testid}
          data-value={value}
          onFocus={(event) => event.currentTarget.select()}
          onInput={(event) => {
            props.draft.value = { text: event.currentTarget.value, over: props.draft.value?.over ?? value };
          }}
          onKeyDown={(event) => {
            if (event.key === 'Enter') void commit();
            else if (event.key === 'Escape') revert();
            else return;
            event.preventDefault();
            event.stopPropagation();
          }}
        />
        {dirty && (
          <span class="quick-do">
            <IconButton size="s" icon="check" label={`Set ${label.toLowerCase()}`} onClick={() => void commit()} testid={`${testid}-set`} />
            <IconButton size="s" icon="close" label="Put back" onClick={revert} />
          </span>
        )}
      </span>
      {problem ? (
        <span class="quick-note" role="alert" id={`${id}-note`} data-testid={`${testid}-refused`}>
          {problem}
        </span>
      ) : overtaken ? (
        <span class="quick-note" role="status" id={`${id}-note`} data-testid={`${testid}-overtaken`}>
          Meanwhile it became {format(value)}. Enter sends yours.
        </span>
      ) : (
        dirty && (
          <span class="visually-hidden" id={`${id}-note`}>
            Not sent yet; it is {format(value)} now. Enter sends it.
          </span>
        )
      )}
    </span>
  );
}
