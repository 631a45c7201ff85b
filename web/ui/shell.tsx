import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Avatar } from './avatar.tsx';
import { Button, IconButton, LinkButton } from './button.tsx';
import { Mark } from './icons.tsx';
import { chooseTheme, chosenTheme, config, isStaff, me, signInUrl, signOut, type Theme } from './session.ts';
import { Badge, Skeleton, Toasts, toastProblem } from './status.tsx';

export interface NavLink {
  href: string;
  title: string;
}

/** The page frame: skip link, brand, navigation, who is signed in, main, toasts. */
export function Shell(props: {
  nav?: readonly NavLink[];
  /** The address of the page shown, to mark its link. */
  here?: string;
  /** In place of the shop's name: where in the house this is. */
  place?: string;
  width?: 'page' | 'full';
  /** Between the navigation and the account menu. */
  tools?: ComponentChildren;
  children: ComponentChildren;
}) {
  const { nav = [], here = '', place, width = 'page', tools, children } = props;
  const isHere = (href: string) => (href === '/' ? here === '/' : here === href || here.startsWith(`${href}/`));
  return (
    <div class={`shell ${width}`}>
      <a class="skip-link" href="#main">
        Skip to content
      </a>
      <header class="shell-head">
        <a class="brand" href="/">
          <Mark />
          <span class="brand-name clip">{config.value?.shop.name ?? <Skeleton width="7rem" />}</span>
          {place && <span class="brand-place">{place}</span>}
        </a>
        <nav aria-label="Main" class="shell-nav">
          {nav.map((link) => (
            <a key={link.href} href={link.href} aria-current={isHere(link.href) ? 'page' : undefined}>
              {link.title}
            </a>
          ))}
        </nav>
        <div class="shell-tools">
          {config.value?.demo && <Badge tone="warn">Demo</Badge>}
          {tools}
          <AccountMenu />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <Toasts />
    </div>
  );
}

/** Sign-in link, or the person with a menu. Its width is held while the answer is on its way. */
export function AccountMenu() {
  const person = me.value;
  const [open, setOpen] = useState(false);
  if (person === undefined) return <Skeleton width="2.25rem" height="2.25rem" round />;
  if (person === null)
    return (
      <LinkButton href={signInUrl()} size="s" kind="primary" testid="sign-in">
        Sign in
      </LinkButton>
    );
  const leave = () => signOut().then(() => location.assign('/'), toastProblem);
  return (
    <div
      class="menu"
      onKeyDown={(event) => event.key === 'Escape' && setOpen(false)}
      onFocusOut={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOpen(false);
      }}
    >
      <button
        type="button"
        class="menu-button"
        aria-expanded={open}
        aria-label={`Account of ${person.display_name}`}
        data-testid="account-menu"
        onClick={() => setOpen(!open)}
      >
        <Avatar name={person.display_name} seed={person.id} size={36} />
      </button>
      {open && (
        <div class="menu-box">
          <p class="menu-who">
            <strong>{person.display_name}</strong>
            <span class="muted small clip">{person.email}</span>
          </p>
          <a href="/account/orders">Orders</a>
          <a href="/account">Account</a>
          {isStaff.value && <a href="/office">Back office</a>}
          <ThemeChoice />
          <Button kind="quiet" wide onClick={leave} testid="sign-out">
            Sign out
          </Button>
        </div>
      )}
    </div>
  );
}

export function ThemeChoice() {
  const [theme, setTheme] = useState<Theme>(chosenTheme());
  const choose = (next: Theme) => {
    chooseTheme(next);
    setTheme(next);
  };
  return (
    <div class="theme-choice" role="group" aria-label="Colours">
      <IconButton icon="sun" label="Light" aria-pressed={theme === 'light'} onClick={() => choose('light')} />
      <IconButton icon="moon" label="Dark" aria-pressed={theme === 'dark'} onClick={() => choose('dark')} />
      <IconButton icon="screen" label="As the system" aria-pressed={theme === 'system'} onClick={() => choose('system')} />
    </div>
  );
}

export function PageHead(props: { title: string; lead?: ComponentChildren; actions?: ComponentChildren }) {
  return (
    <div class="page-head">
      <div class="grow">
        <h1>{props.title}</h1>
        {props.lead && <p class="muted">{props.lead}</p>}
      </div>
      {props.actions && <div class="row wrap">{props.actions}</div>}
    </div>
  );
}
