import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { CloseCode } from '../../core/protocol.ts';
import { Button } from '../button.tsx';
import { Dialog } from '../dialog.tsx';
import { Icon, Mark } from '../icons.tsx';
import { config } from '../session.ts';
import { AccountMenu } from '../shell.tsx';
import { Badge, Note, Skeleton } from '../status.tsx';
import { running, useNow } from './clock.ts';
import type { DeskStore } from './store.ts';

/** The bar on top of the studio and the console: which show, is it on air, who watches, is the line good. */
export function DeskHead({ store, place, children }: { store: DeskStore; place: string; children?: ComponentChildren }) {
  const show = store.show.value;
  return (
    <header class="desk-head">
      <a class="brand" href="/" aria-label={config.value ? `${config.value.shop.name}: front page` : 'Front page'}>
        <Mark size={30} />
      </a>
      <div class="desk-title">
        <h1 class="clip" data-testid="show-title">
          {show?.title ?? <Skeleton width="12rem" />}
        </h1>
        <p class="clip">
          {place}
          {show?.host_name && ` · ${show.host_name}`}
        </p>
      </div>
      <div class="desk-state">
        <OnAir store={store} />
        <Viewers store={store} />
        <Line store={store} />
      </div>
      <div class="desk-tools">
        {children}
        <AccountMenu />
      </div>
    </header>
  );
}

/** One box for every state, so that going on air moves nothing. */
function OnAir({ store }: { store: DeskStore }) {
  const [tone, word, testid] = airOf(store);
  return (
    <span class={`air ${tone}`} role="status">
      <b data-testid={testid} data-state={store.state.value} data-picture={store.picture.value}>
        {word}
      </b>
      {store.state.value === 'live' && <Clock store={store} />}
    </span>
  );
}

const overWord = (store: DeskStore) => (store.show.value?.cancelled_at ? 'Cancelled' : 'Ended');

function airOf(store: DeskStore): [string, string, string] {
  if (store.state.value === 'ended') return ['off', overWord(store), 'ended'];
  if (store.state.value === 'scheduled') return ['off', 'Not started', 'off-air'];
  if (store.picture.value === 'live') return ['on', 'On air', 'on-air'];
  if (store.picture.value === 'away') return ['away', 'Picture away', 'picture-away'];
  return ['away', 'No picture', 'no-picture'];
}

function Clock({ store }: { store: DeskStore }) {
  const now = useNow(() => store.connection?.clock.serverNow() ?? Date.now());
  const since = store.startedAt.value;
  return (
    <time class="tabular" aria-hidden="true" data-testid="on-air-clock">
      {since === null ? '–:––' : running(now - since)}
    </time>
  );
}

function Viewers({ store }: { store: DeskStore }) {
  const viewers = store.viewers.value;
  return (
    <span class="desk-viewers tabular" title="People watching, without staff" data-testid="viewers" data-viewers={viewers}>
      <Icon name="eye" size={17} />
      <span class="visually-hidden">Viewers: </span>
      {viewers.toLocaleString()}
    </span>
  );
}

/** How the connection to the room is, always in the same place. */
function Line({ store }: { store: DeskStore }) {
  const status = store.status.value;
  const words = { connecting: 'Connecting…', open: 'Connected', reconnecting: 'Reconnecting…', closed: 'Disconnected' };
  return (
    <span class={`line ${status}`} role="status" data-testid="connection" data-status={status} title={words[status]}>
      <i aria-hidden="true" />
      <span>{words[status]}</span>
    </span>
  );
}

/** Why nothing more comes from the room, and the way back. */
export function ClosedNote({ store }: { store: DeskStore }) {
  const code = store.closedBy.value;
  if (store.status.value !== 'closed' || code === null) return null;
  const [title, text] =
    code === CloseCode.PROTOCOL
      ? ['This page is out of date', 'Reload it to go on.']
      : code === CloseCode.ABUSE
        ? ['The room closed this connection', 'Too many refused actions in a short time. Wait a moment, then connect again.']
        : ['The room closed this connection', 'Connect again; if it stays like this, tell the shop.'];
  return (
    <div class="desk-notice">
      <Note
        tone="danger"
        alert
        title={title}
        testid="room-closed"
        action={
          <Button size="s" icon="refresh" onClick={() => (code === CloseCode.PROTOCOL ? location.reload() : store.connection?.renew())}>
            {code === CloseCode.PROTOCOL ? 'Reload' : 'Connect'}
          </Button>
        }
      >
        {text}
      </Note>
    </div>
  );
}

function audience(viewers: number): string {
  if (viewers === 0) return 'Nobody is watching just now.';
  return `${viewers === 1 ? 'One person is' : `${viewers.toLocaleString()} people are`} watching; for them the show is over.`;
}

/** Start while it is scheduled, end while it is live; ending asks first. */
export function ShowButtons({ store, start = true }: { store: DeskStore; start?: boolean }) {
  const [asking, setAsking] = useState(false);
  const busy = store.busy.value.has('show');
  const state = store.state.value;
  if (state === 'ended') return <Badge>{overWord(store)}</Badge>;
  if (state === 'scheduled')
    return start && store.may('start_show') ? (
      <Button kind="primary" size="s" icon="play" busy={busy} onClick={() => void store.startShow()} testid="start-show">
        Start show
      </Button>
    ) : null;
  if (!store.may('end_show')) return null;
  const end = async () => {
    if ((await store.endShow()) === null) setAsking(false);
  };
  return (
    <>
      <Button kind="danger" size="s" icon="stop" onClick={() => setAsking(true)} aria-haspopup="dialog" testid="end-show">
        End show
      </Button>
      <Dialog
        open={asking}
        onClose={() => setAsking(false)}
        title="End the show?"
        size="s"
        testid="end-dialog"
        footer={
          <div class="row spread">
            <Button kind="quiet" onClick={() => setAsking(false)}>
              Keep going
            </Button>
            <Button kind="danger" icon="stop" busy={busy} onClick={end} testid="end-show-confirm">
              End show
            </Button>
          </div>
        }
      >
        <p>
          {audience(store.viewers.value)} It can’t be started again. Orders already placed go on.
        </p>
        {store.outcome.value?.tone === 'danger' && <p class="field-problem">{store.outcome.value.text}</p>}
      </Dialog>
    </>
  );
}
