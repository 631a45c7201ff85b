/** The account: who one is, where things go, how they are paid, what was bought. */

import type { ComponentChildren } from 'preact';
import { LinkButton } from '../ui/button.tsx';
import { me } from '../ui/session.ts';
import { Addresses } from './account/addresses.tsx';
import { MyAuctions } from './account/auctions.tsx';
import { Cards } from './account/cards.tsx';
import { Orders } from './account/orders.tsx';
import { Profile } from './account/profile.tsx';
import { Security } from './account/security.tsx';
import { MyWaitlist } from './account/waitlist.tsx';
import { Lost } from './lost.tsx';
import { Rooms, type RoomLink } from './rooms.tsx';
import type { PageProps } from './routes.ts';
import { SignInFirst } from './sign-in-first.tsx';

const LINKS: readonly RoomLink[] = [
  { href: '/account', title: 'Profile', icon: 'user' },
  { href: '/account/orders', title: 'Orders', icon: 'receipt' },
  { href: '/account/waitlist', title: 'Waitlist', icon: 'clock' },
  { href: '/account/auctions', title: 'Auctions', icon: 'gavel' },
  { href: '/account/addresses', title: 'Addresses', icon: 'home' },
  { href: '/account/cards', title: 'Cards', icon: 'card' },
  { href: '/account/security', title: 'Security', icon: 'lock' },
];

const PARTS: Record<string, () => ComponentChildren> = {
  '': () => <Profile />,
  orders: () => <Orders />,
  waitlist: () => <MyWaitlist />,
  auctions: () => <MyAuctions />,
  addresses: () => <Addresses />,
  cards: () => <Cards />,
  security: () => <Security />,
};

export function Account({ params }: PageProps) {
  const part = PARTS[params['part'] ?? ''];
  if (!part)
    return (
      <Lost icon="search" title="There is nothing here" action={<LinkButton href="/account">Your account</LinkButton>}>
        The address may be mistyped.
      </Lost>
    );
  if (!me.value) return <SignInFirst lead="Your orders, addresses and cards are behind your account." />;
  return (
    <Rooms label="Account" links={LINKS} here={location.pathname}>
      {part()}
    </Rooms>
  );
}
