import { compact } from '../core/format.ts';
import { Avatar } from '../ui/avatar.tsx';
import { IconButton } from '../ui/button.tsx';
import { Icon, Mark } from '../ui/icons.tsx';
import { config, me } from '../ui/session.ts';
import { AccountMenu } from '../ui/shell.tsx';
import { Badge, Skeleton } from '../ui/status.tsx';
import type { ShowStore } from './store.ts';

/** Who is on, whether live, how many watch; on a wide screen also the shop and the bag. */
export function TopBar({ store, wide }: { store: ShowStore; wide: boolean }) {
  const show = store.show.value;
  const shop = config.value?.shop.name;
  return (
    <header class={`top ${wide ? '' : 'on-picture'}`}>
      {wide && (
        <a class="brand" href="/" aria-label={shop ? `${shop}: front page` : 'Front page'}>
          <Mark />
        </a>
      )}
      <div class="top-show">
        {!wide && (
          <a class="top-back" href="/" aria-label={shop ? `${shop}: front page` : 'Front page'}>
            <Icon name="chevron_left" size={22} />
          </a>
        )}
        <Avatar name={show?.host_name ?? shop ?? ''} seed={show?.id} size={wide ? 40 : 34} />
        <div class="top-words">
          <h1 class="clip" data-testid="show-title">
            {show?.title ?? <Skeleton width="9rem" />}
          </h1>
          <p class="clip">{show ? [show.host_name, shop].filter(Boolean).join(' · ') : <Skeleton width="6rem" />}</p>
        </div>
      </div>
      <LiveBadge store={store} />
      <div class="top-tools">
        {me.value && (
          <span class="open-orders">
            <IconButton icon="receipt" label="Your orders" kind={wide ? 'plain' : 'glass'} onClick={() => store.open('orders')} testid="open-orders" />
          </span>
        )}
        {wide && <IconButton icon="bag" label="Bag" badge={store.bag.count.value} onClick={() => store.open('bag')} testid="open-bag" />}
        <AccountMenu />
      </div>
    </header>
  );
}

function LiveBadge({ store }: { store: ShowStore }) {
  const state = store.state.value;
  if (!store.show.value) return null;
  if (state === 'scheduled') return <Badge tone="brand">Soon</Badge>;
  if (state === 'ended') return <Badge testid="ended">{store.cancelled.value ? 'Cancelled' : 'Ended'}</Badge>;
  const viewers = store.viewers.value;
  return (
    <span class="live-badge" data-testid="live-badge">
      <Badge tone="live">LIVE</Badge>
      <span class="viewers tabular" data-testid="viewers" data-viewers={viewers}>
        <Icon name="eye" size={15} />
        <span class="visually-hidden">Watching: </span>
        {compact(viewers)}
      </span>
    </span>
  );
}
