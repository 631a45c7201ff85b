import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icons.tsx';

export type ButtonKind = 'primary' | 'secondary' | 'quiet' | 'danger' | 'buy';

interface Common {
  kind?: ButtonKind;
  size?: 's' | 'm' | 'l';
  icon?: IconName;
  wide?: boolean;
  children?: ComponentChildren;
  testid?: string;
}

export interface ButtonProps extends Common {
  type?: 'button' | 'submit' | 'reset';
  /** Shows a spinner in place of the icon and refuses further clicks; the label stays, so nothing jumps. */
  busy?: boolean;
  disabled?: boolean;
  onClick?: (event: MouseEvent) => void;
  title?: string;
  form?: string;
  shortcut?: string;
  'aria-pressed'?: boolean;
  'aria-expanded'?: boolean;
  'aria-haspopup'?: 'dialog' | 'menu';
  'aria-describedby'?: string;
}

const classes = (props: Common) =>
  `button ${props.kind ?? 'secondary'} ${props.size ?? 'm'}${props.wide ? ' wide' : ''}`;

export function Button(props: ButtonProps) {
  const { kind, size, icon, wide, children, testid, busy, disabled, onClick, shortcut, type = 'button', ...rest } = props;
  return (
    <button
      {...rest}
      type={type}
      class={classes({ kind, size, wide })}
      data-testid={testid}
      disabled={disabled}
      aria-busy={busy ? 'true' : undefined}
      aria-disabled={busy ? 'true' : undefined}
      aria-keyshortcuts={shortcut}
      onClick={busy ? (event) => event.preventDefault() : onClick}
    >
      {busy ? <Spinner /> : icon && <Icon name={icon} size={size === 's' ? 16 : 20} />}
      {children}
    </button>
  );
}

/** A link that looks like a button; goes somewhere, does nothing. */
export function LinkButton(props: Common & { href: string; download?: boolean; external?: boolean }) {
  const { href, icon, children, testid, size, download, external } = props;
  return (
    <a
      class={classes(props)}
      href={href}
      data-testid={testid}
      download={download}
      {...(external ? { target: '_blank', rel: 'noopener' } : {})}
    >
      {icon && <Icon name={icon} size={size === 's' ? 16 : 20} />}
      {children}
    </a>
  );
}

export interface IconButtonProps {
  icon: IconName;
  /** What it does: the accessible name and the tooltip. */
  label: string;
  kind?: 'plain' | 'glass' | 'danger';
  size?: 's' | 'm';
  fill?: boolean;
  badge?: number;
  disabled?: boolean;
  testid?: string;
  onClick?: (event: MouseEvent) => void;
  shortcut?: string;
  'aria-pressed'?: boolean;
  'aria-expanded'?: boolean;
  'aria-haspopup'?: 'dialog' | 'menu';
}

export function IconButton(props: IconButtonProps) {
  const { icon, label, kind = 'plain', size = 'm', fill, badge, testid, shortcut, ...rest } = props;
  return (
    <button
      {...rest}
      type="button"
      class={`icon-button ${kind} ${size}`}
      aria-label={badge ? `${label} (${badge})` : label}
      aria-keyshortcuts={shortcut}
      title={label}
      data-testid={testid}
    >
      <Icon name={icon} size={size === 's' ? 16 : 21} fill={fill} />
      {badge ? <span class="count" data-count={badge > 99 ? '99+' : badge} aria-hidden="true" /> : null}
    </button>
  );
}

export function Spinner() {
  return <span class="spinner" aria-hidden="true" />;
}
