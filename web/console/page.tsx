import { useState } from 'preact/hooks';
import { Comments, Composer } from '../ui/desk/comments.tsx';
import { ClosedNote, DeskHead, ShowButtons } from '../ui/desk/head.tsx';
import { useMedia } from '../ui/desk/media-query.ts';
import { Monitor } from '../ui/desk/monitor.tsx';
import { NowShowing, RunOfShow } from '../ui/desk/run-of-show.tsx';
import { SalesFloor } from '../ui/desk/sales-floor.tsx';
import { SellDialog } from '../ui/desk/sell-dialog.tsx';
import { Ticker, Totals } from '../ui/desk/sales.tsx';
import type { DeskStore } from '../ui/desk/store.ts';
import { commentsOf, peopleOf } from '../ui/desk/talk.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { Toasts } from '../ui/status.tsx';
import { Tabs, type Tab } from '../ui/tabs.tsx';
import { AddProduct } from './add-product.tsx';
import { OutcomeLine } from './outcome-line.tsx';
import { People } from './people.tsx';
import { ShortcutsDialog, useShortcuts } from './shortcuts.tsx';

/** The console: run-of-show, picture and sales, talk; side by side where there is room, else one at a time. */
export function Page({ store }: { store: DeskStore }) {
  const [help, setHelp] = useState(false);
  const wide = useMedia('(min-width: 72rem)');
  const narrow = useMedia('(max-width: 47.99rem)');
  const shortcuts = useShortcuts(store, () => setHelp(true));
  const layout = wide ? 'wide' : narrow ? 'narrow' : 'medium';
  return (
    <div class={`desk console ${layout}`} data-testid="console">
      <a class="skip-link" href="#main">
        Skip to content
      </a>
      <DeskHead store={store} place="Console">
        <ShowButtons store={store} />
        {!narrow && <IconButton icon="info" label="Keyboard shortcuts" shortcut="?" aria-haspopup="dialog" onClick={() => setHelp(true)} testid="open-shortcuts" />}
      </DeskHead>
      <ClosedNote store={store} />
      <main id="main" tabIndex={-1}>
        {layout === 'narrow' ? <Narrow store={store} /> : <Broad store={store} wide={wide} digits={shortcuts.on} />}
      </main>
      <OutcomeLine store={store} />
      <AddProduct store={store} />
      <SellDialog store={store} />
      <ShortcutsDialog open={help} onClose={() => setHelp(false)} on={shortcuts.on} onSwitch={shortcuts.turn} store={store} />
      <Toasts />
    </div>
  );
}

function Broad({ store, wide, digits }: { store: DeskStore; wide: boolean; digits: boolean }) {
  return (
    <>
      <RunPanel store={store} digits={digits} />
      <section class="picture-panel" aria-label="Picture and sales">
        <Monitor store={store} />
        <Totals store={store} />
        {wide && (
          <div class="panel">
            <div class="panel-head">
              <h2>Purchases</h2>
            </div>
            <div class="panel-body" tabIndex={0} role="region" aria-label="Purchases">
              <Ticker store={store} />
            </div>
          </div>
        )}
      </section>
      <section class="panel talk-panel" aria-label="Talk">
        <TalkTabs store={store} />
      </section>
    </>
  );
}

function RunPanel({ store, digits }: { store: DeskStore; digits: boolean }) {
  return (
    <section class="panel run-panel" aria-labelledby="run-title">
      <Run store={store} digits={digits} />
    </section>
  );
}

function Run({ store, digits }: { store: DeskStore; digits: boolean }) {
  const arrange = store.kept('arranging', false);
  const arranging = arrange.value;
  // The room's commands don't plan the show; the shop's API does, for those who may.
  const plans = store.show.value?.can.produce ?? false;
  const count = store.run.value.length;
  return (
    <>
      <div class="panel-head">
        <h2 id="run-title">
          Run-of-show <small class="tabular">{count || ''}</small>
        </h2>
        {plans && (
          <>
            {count > 1 && (
              <Button size="s" kind="quiet" icon={arranging ? 'check' : 'drag'} aria-pressed={arranging} onClick={() => (arrange.value = !arranging)} testid="arrange">
                {arranging ? 'Done' : 'Arrange'}
              </Button>
            )}
            <Button size="s" icon="plus" aria-haspopup="dialog" onClick={() => (store.kept('adding', false).value = true)} testid="add-product">
              Add
            </Button>
          </>
        )}
      </div>
      <NowShowing store={store} />
      <div class="panel-body" tabIndex={0} role="region" aria-label="Products of the show">
        <SalesFloor store={store} />
        <RunOfShow store={store} edits digits={digits} arranging={arranging && plans} />
      </div>
    </>
  );
}

type TalkTab = 'comments' | 'people';

function TalkTabs({ store }: { store: DeskStore }) {
  const tab = store.kept<TalkTab>('talk tab', 'comments');
  return <Tabs label="Talk" tabs={talkTabs(store)} value={tab.value} onValue={(name) => (tab.value = name)} />;
}

function talkTabs(store: DeskStore): Tab<TalkTab>[] {
  return [
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
    { name: 'people', title: 'People', count: peopleOf(commentsOf(store.room.value.feed)).length, panel: () => <People store={store} /> },
  ];
}

type NarrowTab = 'products' | TalkTab | 'picture';

/** On a phone: one thing at a time, what is pinned always in sight. */
function Narrow({ store }: { store: DeskStore }) {
  const tab = store.kept<NarrowTab>('tab', 'products');
  const tabs: Tab<NarrowTab>[] = [
    { name: 'products', title: 'Products', panel: () => <Run store={store} digits={false} /> },
    ...talkTabs(store),
    {
      name: 'picture',
      title: 'Picture',
      panel: () => (
        <div class="picture-panel panel-body" tabIndex={0} role="region" aria-label="Picture and sales">
          <Monitor store={store} />
          <Totals store={store} />
          <Ticker store={store} />
        </div>
      ),
    },
  ];
  return (
    <div class="panel">
      <Tabs label="Console" tabs={tabs} value={tab.value} onValue={(name) => (tab.value = name)} />
    </div>
  );
}
