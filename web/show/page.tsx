import { useEffect, useState } from 'preact/hooks';
import { LinkButton } from '../ui/button.tsx';
import { signInUrl } from '../ui/session.ts';
import { Shell } from '../ui/shell.tsx';
import { Failed } from '../ui/start.tsx';
import { Empty, Toasts } from '../ui/status.tsx';
import { AuctionSheet } from './auction-sheet.tsx';
import { BagSheet } from './bag-sheet.tsx';
import { Chat } from './chat.tsx';
import { CheckoutSheet } from './checkout-sheet.tsx';
import { Features } from './features.tsx';
import { OrdersSheet } from './orders-sheet.tsx';
import { Outcome } from './outcome.tsx';
import { ProductSheet } from './product-sheet.tsx';
import { ProductsPanel, ProductsSheet } from './products.tsx';
import { SignInSheet } from './sign-in-sheet.tsx';
import { Stage } from './stage.tsx';
import type { ShowStore } from './store.ts';
import { TopBar } from './top-bar.tsx';

const WIDE = '(min-width: 64rem)';

/** Chat and products stand beside the picture on a wide screen, and lie over it on a narrow one. */
export function useWide(): boolean {
  const [wide, setWide] = useState(() => matchMedia(WIDE).matches);
  useEffect(() => {
    const query = matchMedia(WIDE);
    const tell = () => setWide(query.matches);
    query.addEventListener('change', tell);
    return () => query.removeEventListener('change', tell);
  }, []);
  return wide;
}

export function Page({ store }: { store: ShowStore }) {
  const wide = useWide();
  useShortcuts(store);
  const whole = useWhole();
  const problem = store.problem.value;
  const state = store.show.value ? store.state.value : 'loading';
  if (problem) return <NoShow store={store} />;
  // An upright picture leaves room beside it, and none at its foot: hands and goods are there.
  const beside = wide && !whole && state === 'live' && store.shape.value !== 'broad';
  return (
    <div class={`show ${wide ? 'wide' : 'narrow'} is-${state}${beside ? ' beside' : ''}`} data-testid="show" data-state={state}>
      <a class="skip-link" href="#chat">
        Skip to comments
      </a>
      <TopBar store={store} wide={wide} />
      <main class="show-main">
        {wide && (
          <div class="goods">
            {beside && (
              <section class="goods-now on-picture" aria-label="On sale now">
                <OnSale store={store} />
              </section>
            )}
            <ProductsPanel store={store} />
          </div>
        )}
        <section class="stage on-picture" aria-label="Picture">
          <Stage store={store} />
          <Cut store={store} />
          <div class="stage-foot">
            {!wide && <Chat store={store} over />}
            {!beside && <OnSale store={store} />}
          </div>
        </section>
        {wide && <Chat store={store} />}
      </main>
      <CheckoutSheet store={store} />
      <ProductSheet store={store} />
      <AuctionSheet store={store} />
      <ProductsSheet store={store} />
      <BagSheet store={store} />
      <OrdersSheet store={store} />
      <SignInSheet store={store} />
      <Toasts />
    </div>
  );
}

function OnSale({ store }: { store: ShowStore }) {
  return (
    <>
      <Outcome store={store} />
      <Features store={store} />
    </>
  );
}

/** Whether the picture fills the screen: what is sold has to be on it then. */
function useWhole(): boolean {
  const [whole, setWhole] = useState(false);
  useEffect(() => {
    const tell = () => setWhole(!!document.fullscreenElement);
    document.addEventListener('fullscreenchange', tell);
    return () => document.removeEventListener('fullscreenchange', tell);
  }, []);
  return whole;
}

/** Said where the line to the room is cut; comments and stock stand still meanwhile. */
function Cut({ store }: { store: ShowStore }) {
  return (
    <p role="status" class="cut" data-testid="cut">
      {store.status.value === 'reconnecting' && 'No connection. Trying again…'}
    </p>
  );
}

function NoShow({ store }: { store: ShowStore }) {
  return <Shell nav={[{ href: '/', title: 'Live' }, { href: '/products', title: 'Shop' }]}>{whyNoShow(store)}</Shell>;
}

function whyNoShow(store: ShowStore) {
  const problem = store.problem.value!;
  if (problem.status === 404)
    return (
      <Empty icon="camera_off" title="There is no such show" action={<LinkButton href="/" kind="primary">See what is on</LinkButton>}>
        The link may be old or mistyped.
      </Empty>
    );
  if (problem.status === 401 || problem.status === 403)
    return (
      <Empty icon="lock" title="This show is private" action={<LinkButton href={signInUrl()} kind="primary">Sign in</LinkButton>}>
        Open it with the link you were sent, or sign in with an account that may watch it.
      </Empty>
    );
  return <Failed error={problem} retry={() => void store.load()} />;
}

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** B buys what is pinned, / writes, M switches the sound, F fills the screen. Escape closes what is open (the browser's own). */
function useShortcuts(store: ShowStore): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.key === 'Escape' && isTyping(event.target)) return (event.target as HTMLElement).blur();
      if (isTyping(event.target) || store.sheet.value || document.querySelector('dialog[open]')) return;
      const target = { b: 'buy', '/': 'composer', m: 'sound', f: 'fullscreen' }[event.key.toLowerCase()];
      const element = target && document.querySelector<HTMLElement>(`[data-shortcut="${target}"] button, [data-shortcut="${target}"] input`);
      if (!element) return;
      event.preventDefault();
      if (target === 'composer') element.focus();
      else element.click();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [store]);
}
