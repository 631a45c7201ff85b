import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { IconButton } from './button.tsx';

export interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ComponentChildren;
  /** Stays under the scrolling body: totals and the action. */
  footer?: ComponentChildren;
  /** `sheet`: from the bottom on a phone, a side panel on a wide screen, without hiding what is behind. */
  as?: 'dialog' | 'sheet';
  /** While something cannot be undone, Escape and the backdrop do nothing. */
  locked?: boolean;
  testid?: string;
  size?: 's' | 'm' | 'l';
}

/** Modal on the native element: focus trap, Escape, return of focus and inertness come from the browser. */
export function Dialog(props: DialogProps) {
  const { open, onClose, title, children, footer, as = 'dialog', locked, testid, size = 'm' } = props;
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = ref.current!;
    if (open && !dialog.open) {
      dialog.showModal();
      // The title has the focus, unless there is something to write at once.
      dialog.querySelector<HTMLElement>('input[autofocus], textarea[autofocus]')?.focus();
    }
    if (!open && dialog.open) dialog.close();
  }, [open]);
  return (
    <dialog
      ref={ref}
      class={`dialog ${as} size-${size}`}
      aria-labelledby={titleId}
      data-testid={testid}
      onCancel={(event) => {
        event.preventDefault();
        if (!locked) onClose();
      }}
      onClose={() => open && onClose()}
      onClick={(event) => {
        if (event.target === ref.current && !locked) onClose();
      }}
    >
      {open && (
        <div class="dialog-box">
          <header class="dialog-head">
            <h2 id={titleId} tabIndex={-1} autofocus>
              {title}
            </h2>
            {!locked && <IconButton icon="close" label="Close" onClick={onClose} testid="close" />}
          </header>
          <div class="dialog-body">{children}</div>
          {footer && <footer class="dialog-foot">{footer}</footer>}
        </div>
      )}
    </dialog>
  );
}

export const Sheet = (props: Omit<DialogProps, 'as'>) => <Dialog {...props} as="sheet" />;
