/** Which page an address shows. Links are ordinary links: every page of the shop is one load of the same entry. */

import type { ComponentType } from 'preact';

export interface Route {
  /** Segments; `:name` takes one segment. */
  path: string;
  title: string;
  load: () => Promise<ComponentType<PageProps>>;
}

export interface PageProps {
  params: Record<string, string>;
}

/** The segments' values where the path matches, else null. */
export function match(path: string, address: string): Record<string, string> | null {
  const wanted = path.split('/').filter(Boolean);
  const given = address.split('/').filter(Boolean);
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    const value = decoded(given[index]!);
    if (segment.startsWith(':')) params[segment.slice(1)] = value;
    else if (segment !== value) return null;
  }
  return params;
}

/** A broken escape ("100%") stays as it is: an address nobody made is still only an address. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const front = () => import('./front.tsx');
const account = () => import('./account.tsx');
const entry = () => import('./entry.tsx');
const products = () => import('./products.tsx');
const office = () => import('./office/index.tsx');

export const ROUTES: readonly Route[] = [
  { path: '/', title: 'Live', load: async () => (await front()).Front },
  { path: '/products', title: 'Shop', load: async () => (await products()).Products },
  { path: '/products/:handle', title: 'Shop', load: async () => (await products()).ProductPage },
  { path: '/account/sign-in', title: 'Sign in', load: async () => (await entry()).SignIn },
  { path: '/account/sign-up', title: 'Create an account', load: async () => (await entry()).SignUp },
  { path: '/account/forgot', title: 'Forgot your password?', load: async () => (await entry()).Forgot },
  { path: '/account/reset', title: 'New password', load: async () => (await entry()).Reset },
  { path: '/account/verify', title: 'Confirm your e-mail', load: async () => (await entry()).Verify },
  { path: '/invite', title: 'Invitation', load: async () => (await entry()).Invite },
  { path: '/account', title: 'Account', load: async () => (await account()).Account },
  { path: '/account/:part', title: 'Account', load: async () => (await account()).Account },
  { path: '/orders/:id', title: 'Order', load: async () => (await import('./order.tsx')).OrderPage },
  { path: '/auctions/:id', title: 'Bid book', load: async () => (await import('./auction.tsx')).AuctionPage },
  { path: '/office', title: 'Back office', load: async () => (await office()).Office },
  { path: '/office/:part', title: 'Back office', load: async () => (await office()).Office },
  { path: '/office/:part/:id', title: 'Back office', load: async () => (await office()).Office },
];

export function routeOf(address: string): { route: Route; params: Record<string, string> } | null {
  for (const route of ROUTES) {
    const params = match(route.path, address);
    if (params) return { route, params };
  }
  return null;
}
