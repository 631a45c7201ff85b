import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { asProblem } from '../core/problem.ts';
import { Button, IconButton } from './button.tsx';
import { Icon, type IconName } from './icons.tsx';

export type Tone = 'plain' | 'ok' | 'warn' | 'danger' | 'live' | 'brand';

export function Badge(props: { tone?: Tone; icon?: IconName; children: ComponentChildren; testid?: string }) {
  const { tone = 'plain', icon, children, testid } = props;
  return (
    <span class={`badge tone-${tone}`} data-testid={testid}>
      {icon && <Icon name={icon} size={13} />}
      {children}
    </span>
  );
}

/** A word with a colour for each state an order can be in. */
export function OrderBadge(props: { state: string }) {
  const known: Record<string, [Tone, string]> = {
    charging: ['plain', 'Processing'],
    action_needed: ['warn', 'Confirm with your bank'],
    paid: ['ok', 'Paid'],
    fulfilled: ['brand', 'Sent'],
    declined: ['danger', 'Declined'],
    cancelled: ['plain', 'Cancelled'],
    refunded: ['plain', 'Refunded'],
  };
  const [tone, word] = known[props.state] ?? ['plain', props.state];
  return (
    <Badge tone={tone} testid={`order-state-${props.state}`}>
      {word}
    </Badge>
  );
}

/** A note in the page: what happened, what to do, and perhaps a way to do it. */
export function Note(props: {
  tone?: 'ok' | 'warn' | 'danger' | 'plain';
  title?: string;
  children?: ComponentChildren;
  action?: ComponentChildren;
  /** Announced when it appears. */
  alert?: boolean;
  testid?: string;
}) {
  const { tone = 'plain', title, children, action, alert, testid } = props;
  const icon: IconName = tone === 'ok' ? 'check' : tone === 'plain' ? 'info' : 'alert';
  return (
    <div class={`note tone-${tone}`} role={alert ? 'alert' : undefined} data-testid={testid}>
      <Icon name={icon} size={20} />
      <div class="grow">
        {title && <strong>{title}</strong>}
        {children && <div>{children}</div>}
      </div>
      {action}
    </div>
  );
}

/** Any failure, said the same way everywhere: what was wrong, what to do, its code for support. */
export function ProblemNote(props: { problem: unknown; retry?: () => void; testid?: string }) {
  if (!props.problem) return null;
  const problem = asProblem(props.problem);
  return (
    <Note
      tone="danger"
      alert
      title={problem.message}
      testid={props.testid ?? 'problem'}
      action={
        props.retry && (
          <Button size="s" onClick={props.retry} icon="refresh">
            Try again
          </Button>
        )
      }
    >
      {problem.whatToDo}
      {problem.retryAfterS ? ` Try again in ${Math.ceil(problem.retryAfterS)} s.` : ''}
      <span class="visually-hidden"> Code: {problem.code}</span>
    </Note>
  );
}

/** Nothing here yet, and what would be: never a blank. */
export function Empty(props: { icon: IconName; title: string; children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={props.icon} size={26} />
      </span>
      <strong>{props.title}</strong>
      {props.children && <p>{props.children}</p>}
      {props.action}
    </div>
  );
}

/** Holds the place of what is loading at its size. */
export function Skeleton(props: { width?: string; height?: string; round?: boolean; lines?: number }) {
  const { width = '100%', height = '1em', round, lines = 1 } = props;
  return (
    <span class="skeletons" aria-hidden="true">
      {Array.from({ length: lines }, (_, index) => (
        <span
          key={index}
          class="skeleton"
          style={{ width: lines > 1 && index === lines - 1 ? '60%' : width, height, borderRadius: round ? '999px' : undefined }}
        />
      ))}
    </span>
  );
}

// --- toasts ---------------------------------------------------------------------------------------------------

export interface ToastRow {
  key: number;
  tone: Tone;
  text: ComponentChildren;
}

const toasts = signal<ToastRow[]>([]);
const SHOWN_MS = 5000;
const MOST_SHOWN = 3;
let lastKey = 0;

/** Says something for five seconds; the oldest of more than three goes first. */
export function toast(text: ComponentChildren, tone: Tone = 'plain'): void {
  const row = { key: ++lastKey, tone, text };
  toasts.value = [...toasts.value, row].slice(-MOST_SHOWN);
  setTimeout(() => dismiss(row.key), SHOWN_MS);
}

export function toastProblem(error: unknown): void {
  const problem = asProblem(error);
  toast(`${problem.message} ${problem.whatToDo}`.trim(), 'danger');
}

function dismiss(key: number): void {
  toasts.value = toasts.value.filter((row) => row.key !== key);
}

/** Once a page. A popover, shown anew with each toast: that keeps it above an open modal dialog. */
export function Toasts() {
  const box = useRef<HTMLDivElement>(null);
  const newest = toasts.value.at(-1)?.key;
  useEffect(() => {
    if (box.current?.matches(':popover-open')) box.current.hidePopover();
    if (newest) box.current?.showPopover();
  }, [newest]);
  return (
    <div ref={box} class="toasts" popover="manual" role="status" aria-live="polite" data-testid="toasts">
      {toasts.value.map((row) => (
        <div key={row.key} class={`toast tone-${row.tone}`}>
          <span>{row.text}</span>
          <IconButton icon="close" label="Dismiss" size="s" onClick={() => dismiss(row.key)} />
        </div>
      ))}
    </div>
  );
}
