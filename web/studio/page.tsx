import { useEffect } from 'preact/hooks';
import { Button } from '../ui/button.tsx';
import { Comments, Composer } from '../ui/desk/comments.tsx';
import { ClosedNote, DeskHead, ShowButtons } from '../ui/desk/head.tsx';
import { useMedia } from '../ui/desk/media-query.ts';
import { Monitor } from '../ui/desk/monitor.tsx';
import { NowShowing, RunOfShow } from '../ui/desk/run-of-show.tsx';
import { SalesFloor } from '../ui/desk/sales-floor.tsx';
import { SellDialog } from '../ui/desk/sell-dialog.tsx';
import { Ticker, Totals } from '../ui/desk/sales.tsx';
import type { DeskStore } from '../ui/desk/store.ts';
import { toast, Toasts } from '../ui/status.tsx';
import { Tabs, type Tab } from '../ui/tabs.tsx';
import type { Capture } from './capture.ts';
import { Controls } from './controls.tsx';
import { Encoder } from './encoder.tsx';
import { Preview } from './preview.tsx';
import type { Sender } from './sender.ts';
import { Uplink } from './uplink-strip.tsx';

interface Studio {
  store: DeskStore;
  capture: Capture;
  sender: Sender;
}

/** The studio: the host's own picture and what sends it, beside the talk and the products. */
export function Page(studio: Studio) {
  const { store, capture, sender } = studio;
  const wide = useMedia('(min-width: 72rem)');
  const narrow = useMedia('(max-width: 47.99rem)');
  useEffect(() => {
    void capture.open();
    return () => capture.close();
  }, [capture]);
  useHeldOpen(sender);
  useSaid(store);
  const ended = store.state.value === 'ended';
  useEffect(() => {
    if (ended) sender.stop();
  }, [ended]);
  return (
    <div class={`desk studio ${wide ? 'wide' : narrow ? 'narrow' : 'medium'}`} data-testid="studio">
      <a class="skip-link" href="#main">
        Skip to content
      </a>
      <DeskHead store={store} place="Studio">
        <ShowButtons store={store} start={store.picture.value === 'live' || sender.state.value === 'live'} />
      </DeskHead>
      <ClosedNote store={store} />
      <main id="main" tabIndex={-1}>
        <section class="camera-panel" aria-label="Your picture">
          <Preview {...studio} />
          <Controls {...studio} />
          <Uplink sender={sender} capture={capture} />
          {!narrow && <SalesPanel store={store} />}
        </section>
        {wide ? <Beside {...studio} /> : <Tabbed {...studio} />}
      </main>
      <SellDialog store={store} />
      <Toasts />
    </div>
  );
}

function Beside({ store }: Studio) {
  const tab = store.kept<'products' | 'viewers' | 'encoder'>('wide tab', 'products');
  const tabs: Tab<typeof tab.value>[] = [
    { name: 'products', title: 'Products', panel: () => <Products store={store} /> },
    { name: 'viewers', title: 'What viewers see', panel: () => <ViewersSee store={store} /> },
    { name: 'encoder', title: 'Encoder', panel: () => <Encoder store={store} /> },
  ];
  return (
    <>
      <section class="panel" aria-label="Products and more">
        <Tabs label="Products and more" tabs={tabs} value={tab.value} onValue={(name) => (tab.value = name)} />
      </section>
      <section class="panel" aria-labelledby="talk-title">
        <div class="panel-head">
          <h2 id="talk-title">Comments</h2>
        </div>
        <Comments store={store} />
        <Composer store={store} />
      </section>
    </>
  );
}

function Tabbed({ store }: Studio) {
  const tab = store.kept<'comments' | 'products' | 'sales' | 'more'>('tab', 'comments');
  const tabs: Tab<typeof tab.value>[] = [
    {
      name: 'comments',
      title: 'Comments',
      panel: () => (
        <>
          <Comments store={store} />
          <Composer store={store} />
        </>
      ),
    },
    { name: 'products', title: 'Products', panel: () => <Products store={store} /> },
    {
      name: 'sales',
      title: 'Sales',
      panel: () => (
        <div class="panel-body padded" tabIndex={0} role="region" aria-label="Sales">
          <Totals store={store} />
          <Ticker store={store} />
        </div>
      ),
    },
    {
      name: 'more',
      title: 'More',
      panel: () => (
        <div class="panel-body" tabIndex={0} role="region" aria-label="What viewers see, and encoders">
          <ViewersSee store={store} />
          <Encoder store={store} />
        </div>
      ),
    },
  ];
  return (
    <section class="panel" aria-label="Talk, products and sales">
      <Tabs label="Talk, products and sales" tabs={tabs} value={tab.value} onValue={(name) => (tab.value = name)} />
    </section>
  );
}

function Products({ store }: { store: DeskStore }) {
  return (
    <>
      <h2 class="visually-hidden">Products</h2>
      <NowShowing store={store} />
      <div class="panel-body" tabIndex={0} role="region" aria-label="Products of the show">
        <SalesFloor store={store} />
        <RunOfShow store={store} />
      </div>
    </>
  );
}

function SalesPanel({ store }: { store: DeskStore }) {
  return (
    <>
      <Totals store={store} />
      <div class="panel sales-panel">
        <div class="panel-head">
          <h2>Purchases</h2>
        </div>
        <div class="panel-body" tabIndex={0} role="region" aria-label="Purchases">
          <Ticker store={store} />
        </div>
      </div>
    </>
  );
}

/** Costs a download of its own picture, so it is asked for. */
function ViewersSee({ store }: { store: DeskStore }) {
  const seen = store.kept('viewers see', false);
  const on = seen.value;
  return (
    <div class="viewers-see">
      {on ? (
        <Monitor store={store} />
      ) : (
        <div class="viewers-see-off">
          <p class="muted small">The picture as it reaches viewers, a moment after you. It uses some of your download.</p>
        </div>
      )}
      <Button size="s" icon={on ? 'eye_off' : 'eye'} aria-pressed={on} onClick={() => (seen.value = !on)} testid="viewers-see">
        {on ? 'Hide what viewers see' : 'Show what viewers see'}
      </Button>
      <a class="small" href={`/shows/${store.options.showId}`} target="_blank" rel="noopener">
        Open the show’s page
      </a>
    </div>
  );
}

/** While sending: closing the page asks first, and the screen stays on. */
function useHeldOpen(sender: Sender): void {
  const sending = sender.sending.value;
  useEffect(() => {
    if (!sending) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    let lock: WakeLockSentinel | null = null;
    const hold = () => {
      if (document.hidden) return;
      // Refused on a low battery: then the screen goes off as it likes.
      navigator.wakeLock?.request('screen').then(
        (held) => (lock = held),
        () => undefined,
      );
    };
    hold();
    addEventListener('beforeunload', ask);
    document.addEventListener('visibilitychange', hold);
    return () => {
      removeEventListener('beforeunload', ask);
      document.removeEventListener('visibilitychange', hold);
      void lock?.release();
    };
  }, [sending]);
}

/** How the last action went, as a toast: the studio has no line to spare. */
function useSaid(store: DeskStore): void {
  const outcome = store.outcome.value;
  useEffect(() => {
    if (outcome) toast(outcome.text, outcome.tone);
  }, [outcome?.key]);
}
