import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { config, loadSession } from '../ui/session.ts';
import { Shell, type NavLink } from '../ui/shell.tsx';
import { Failed, start } from '../ui/start.tsx';
import { Skeleton } from '../ui/status.tsx';
import { LinkButton } from '../ui/button.tsx';
import { Lost } from './lost.tsx';
import { routeOf, type PageProps } from './routes.ts';
import './shop.css';

export const NAV: readonly NavLink[] = [
  { href: '/', title: 'Live' },
  { href: '/products', title: 'Shop' },
];

function Nowhere() {
  return (
    <Lost
      icon="search"
      title="There is nothing here"
      action={
        <LinkButton href="/" kind="primary">
          To the shop
        </LinkButton>
      }
    >
      The address may be mistyped, or what was here is gone.
    </Lost>
  );
}

function Shop() {
  const found = routeOf(location.pathname);
  const [Page, setPage] = useState<ComponentType<PageProps> | null>(null);
  const [error, setError] = useState<unknown>(null);
  const open = () => {
    setError(null);
    Promise.all([loadSession(), found?.route.load()]).then(([, page]) => setPage(() => page ?? Nowhere), setError);
  };
  useEffect(open, []);
  useEffect(() => {
    const shop = config.value?.shop.name;
    const page = found?.route.title ?? 'Not found';
    document.title = shop ? `${page} · ${shop}` : page;
  }, [config.value]);
  return (
    <Shell nav={NAV} here={location.pathname} {...(location.pathname.startsWith('/office') ? { place: 'Back office' } : {})}>
      {error ? <Failed error={error} retry={open} /> : Page ? <Page params={found?.params ?? {}} /> : <Skeleton height="16rem" />}
    </Shell>
  );
}

start(<Shop />);
