/** The back office. Roles decide what is shown; the server decides what is done. */

import type { ComponentChildren } from 'preact';
import { LinkButton } from '../../ui/button.tsx';
import { isStaff, me } from '../../ui/session.ts';
import { Lost } from '../lost.tsx';
import { Rooms, type RoomLink } from '../rooms.tsx';
import type { PageProps } from '../routes.ts';
import { SignInFirst } from '../sign-in-first.tsx';
import { Activity } from './activity.tsx';
import { Catalogue } from './catalogue.tsx';
import { Import } from './import.tsx';
import { NewProductPage } from './new-product.tsx';
import { OrderDetail } from './order.tsx';
import { Orders } from './orders.tsx';
import { People } from './people.tsx';
import { ProductDetail } from './product.tsx';
import { Settings } from './settings.tsx';
import { ShowDetail } from './show.tsx';
import { Shows } from './shows.tsx';
import { may } from './staff.ts';
import './office.css';

interface Part extends RoomLink {
  name: string;
  allowed: () => boolean;
  list: () => ComponentChildren;
  detail?: (id: string) => ComponentChildren;
}

const PARTS: readonly Part[] = [
  { name: 'shows', href: '/office', title: 'Shows', icon: 'camera', allowed: () => isStaff.value, list: () => <Shows />, detail: (id) => <ShowDetail id={id} /> },
  { name: 'orders', href: '/office/orders', title: 'Orders', icon: 'receipt', allowed: may.seeOrders, list: () => <Orders />, detail: (id) => <OrderDetail id={id} /> },
  { name: 'catalogue', href: '/office/catalogue', title: 'Catalogue', icon: 'tag', allowed: may.seeCatalogue, list: () => <Catalogue />, detail: productPage },
  { name: 'people', href: '/office/people', title: 'People', icon: 'people', allowed: may.seePeople, list: () => <People /> },
  { name: 'settings', href: '/office/settings', title: 'Settings', icon: 'settings', allowed: may.editShop, list: () => <Settings /> },
  { name: 'activity', href: '/office/activity', title: 'Activity', icon: 'chart', allowed: may.seeActivity, list: () => <Activity /> },
];

function productPage(id: string): ComponentChildren {
  if (id === 'new') return may.editCatalogue() ? <NewProductPage /> : <Barred />;
  if (id === 'import') return may.editCatalogue() ? <Import /> : <Barred />;
  return <ProductDetail id={id} />;
}

export function Office({ params }: PageProps) {
  if (!me.value) return <SignInFirst lead="The back office is for the people who run the shop." />;
  if (!isStaff.value) return <Barred />;
  const { part: name = 'shows', id } = params;
  const part = PARTS.find((candidate) => candidate.name === name);
  const links = PARTS.filter(({ allowed }) => allowed());
  const here = name === 'shows' ? '/office' : location.pathname;
  return (
    <Rooms label="Back office" links={links} here={here}>
      {!part || (id && !part.detail) ? <Nowhere /> : !part.allowed() ? <Barred /> : id ? part.detail!(id) : part.list()}
    </Rooms>
  );
}

function Nowhere() {
  return (
    <Lost icon="search" title="There is nothing here" action={<LinkButton href="/office">Back office</LinkButton>}>
      The address may be mistyped.
    </Lost>
  );
}

function Barred() {
  return (
    <Lost icon="lock" title="This is not open to you" action={<LinkButton href="/">To the shop</LinkButton>}>
      You are signed in as {me.value?.email}. Ask the shop’s owner for the role you need.
    </Lost>
  );
}
