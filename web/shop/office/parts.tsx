/** Parts of the back office's pages. */

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Button, IconButton, type ButtonKind } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon, type IconName } from '../../ui/icons.tsx';
import { ProblemNote, toast } from '../../ui/status.tsx';
import { useDoing } from '../loaded.ts';

export function Back(props: { href: string; children: ComponentChildren }) {
  return (
    <a class="back" href={props.href}>
      <Icon name="chevron_left" size={16} /> {props.children}
    </a>
  );
}

export function Panel(props: { title: string; lead?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; testid?: string }) {
  return (
    <section class="card panel" aria-label={props.title} data-testid={props.testid}>
      <div class="panel-top">
        <div class="grow">
          <h2>{props.title}</h2>
          {props.lead && <p class="muted small">{props.lead}</p>}
        </div>
        {props.actions}
      </div>
      {props.children}
    </section>
  );
}

/** A button for what can't be undone: it says what will happen, and asks. */
export function Asking(props: {
  label: ComponentChildren;
  title: string;
  children: ComponentChildren;
  confirm: string;
  work: () => Promise<unknown>;
  kind?: ButtonKind;
  icon?: IconName;
  size?: 's' | 'm';
  disabled?: boolean;
  testid?: string;
}) {
  const [open, setOpen] = useState(false);
  const { busy, problem, run, clear } = useDoing();
  const close = () => {
    setOpen(false);
    clear();
  };
  const go = async () => {
    if (await run(props.work)) close();
  };
  return (
    <>
      <Button
        // In a list the question alone carries the warning: a column of red would say nothing.
        {...(props.kind && props.size !== 's' ? { kind: props.kind } : {})}
        {...(props.icon ? { icon: props.icon } : {})}
        size={props.size ?? 'm'}
        disabled={props.disabled ?? false}
        aria-haspopup="dialog"
        onClick={() => setOpen(true)}
        testid={props.testid ?? 'ask'}
      >
        {props.label}
      </Button>
      <Dialog
        open={open}
        onClose={close}
        title={props.title}
        size="s"
        testid="asking"
        footer={
          <div class="row spread">
            <Button kind="quiet" onClick={close}>
              Go back
            </Button>
            <Button kind={props.kind === 'danger' ? 'danger' : 'primary'} busy={busy} onClick={() => void go()} testid="confirm">
              {props.confirm}
            </Button>
          </div>
        }
      >
        <div class="stack">
          <div>{props.children}</div>
          <ProblemNote problem={problem} />
        </div>
      </Dialog>
    </>
  );
}

/** A value to be copied: an address, or a secret that is shown once. */
export function Copyable(props: { label: string; value: string; testid?: string }) {
  const copy = () =>
    navigator.clipboard.writeText(props.value).then(
      () => toast(`${props.label} copied.`, 'ok'),
      () => toast('Copying is not allowed here: select the text and copy it.', 'warn'),
    );
  return (
    <div class="copyable">
      <span class="label">{props.label}</span>
      <span class="copyable-row">
        <code data-testid={props.testid} tabIndex={0}>
          {props.value}
        </code>
        <IconButton icon="copy" size="s" label={`Copy ${props.label.toLowerCase()}`} onClick={() => void copy()} />
      </span>
    </div>
  );
}

/** Search words above a list. */
export function SearchField(props: { label: string; value: string; onValue: (words: string) => void }) {
  return (
    <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
      <Icon name="search" size={19} />
      <input
        class="input"
        type="search"
        aria-label={props.label}
        placeholder={props.label}
        maxLength={100}
        value={props.value}
        onInput={(event) => props.onValue(event.currentTarget.value)}
        data-testid="search"
      />
    </form>
  );
}

/** One of a few ways to narrow a list. */
export function Filters<Name extends string>(props: {
  label: string;
  value: Name;
  options: readonly { value: Name; label: string }[];
  onValue: (value: Name) => void;
}) {
  return (
    <div class="filters" role="group" aria-label={props.label}>
      {props.options.map(({ value, label }) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onValue(value)}>
          {label}
        </button>
      ))}
    </div>
  );
}

/** A button that opens the file picker; the same file can be chosen again after a failure. */
export function FilePick(props: { label: string; accept: string; busy: boolean; onFiles: (files: File[]) => void; multiple?: boolean; testid?: string }) {
  return (
    <label class={`button secondary m file-pick${props.busy ? ' is-busy' : ''}`}>
      <Icon name="upload" size={20} /> {props.busy ? 'Uploading…' : props.label}
      <input
        type="file"
        accept={props.accept}
        multiple={props.multiple}
        disabled={props.busy}
        data-testid={props.testid}
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = '';
          if (files.length) props.onFiles(files);
        }}
      />
    </label>
  );
}
