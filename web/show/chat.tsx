import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { timeOfDay } from '../core/format.ts';
import { rowKey, type FeedRow } from '../core/room-state.ts';
import { Avatar, hueOf } from '../ui/avatar.tsx';
import { Button, IconButton } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { memo } from '../ui/memo.tsx';
import { Badge, Skeleton, toast, toastProblem } from '../ui/status.tsx';
import { Composer } from './composer.tsx';
import { beginReading, FOLLOWING, growUpwards, windowOf, type Place } from './feed-window.ts';
import type { ShowStore } from './store.ts';

type CommentRow = Extract<FeedRow, { kind: 'comment' }>;

const ROW_HEIGHT_LEAST = 26;
const SUMMARY_EVERY_MS = 12_000;

/** Comments: beside the picture, or over it (`over`). */
export function Chat({ store, over = false }: { store: ShowStore; over?: boolean }) {
  return (
    <section class={`chat ${over ? 'over' : ''}`} aria-label="Comments" id="chat" tabIndex={-1}>
      <Feed store={store} over={over} />
      <Composer store={store} over={over} />
    </section>
  );
}

function Feed({ store, over }: { store: ShowStore; over: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<Place>(FOLLOWING);
  const [fits, setFits] = useState(18);
  const [chosen, setChosen] = useState<string | null>(null);
  const feed = store.room.value.feed;
  const { rows, newer, older } = windowOf(feed, place, fits);
  const following = place.mode === 'following';

  const held = place.mode === 'reading' && place.held;

  const read = (hold = false) =>
    setPlace((before) => (before.mode === 'following' ? beginReading(store.room.value.feed, fits, hold) : before));
  const follow = () => {
    setPlace(FOLLOWING);
    setChosen(null);
  };
  /** After acting on a row: on with the newest, unless the reader had scrolled up to it. */
  const done = () => {
    const element = box.current!;
    setChosen(null);
    if (element.scrollHeight - element.scrollTop - element.clientHeight < 120) follow();
  };

  // Stable for the rows, so that only rows that changed are rendered.
  const actions = { read, done };
  const latest = useRef(actions);
  latest.current = actions;
  const open = useRef((commentId: string) => {
    latest.current.read();
    setChosen((before) => (before === commentId ? null : commentId));
  });
  const finish = useRef(() => latest.current.done());

  useEffect(() => {
    const element = box.current!;
    const size = new ResizeObserver(() => {
      setFits(Math.max(8, Math.ceil(element.clientHeight / ROW_HEIGHT_LEAST) + 2));
      element.scrollTop = element.scrollHeight;
    });
    size.observe(element);
    return () => size.disconnect();
  }, []);

  // Following: stuck to the newest. Reading: rows added above leave what is read where it is.
  const bottom = useRef(0);
  useLayoutEffect(() => {
    const element = box.current!;
    element.scrollTop = following ? element.scrollHeight : element.scrollHeight - bottom.current;
  }, [following, rows[0] && rowKey(rows[0]), rows.length, feed]);

  const scrolled = () => {
    const element = box.current!;
    bottom.current = element.scrollHeight - element.scrollTop;
    const below = bottom.current - element.clientHeight;
    if (following && below > 40) read();
    else if (!following && !held && below < 8 && newer === 0 && !chosen) follow();
    if (!following && element.scrollTop < 60 && older) setPlace(growUpwards);
  };

  return (
    <div class={`feed ${following ? 'following' : 'reading'} ${over && !store.room.value.offset ? 'waiting' : ''}`}>
      <div class="feed-head">
        {!over && <h2>Comments</h2>}
        {feed.length > 0 && (
          <Button
            size="s"
            kind="quiet"
            icon={following ? 'pause' : 'play'}
            aria-pressed={!following}
            testid="pause-comments"
            onClick={() => (following ? read(true) : follow())}
          >
            {following ? 'Pause' : 'Resume'}
            <span class="visually-hidden"> comments</span>
          </Button>
        )}
      </div>
      <div
        ref={box}
        class="feed-rows"
        role="log"
        aria-live="off"
        aria-label="Comments"
        tabIndex={0}
        data-testid="comments"
        onScroll={scrolled}
        onFocusCapture={(event) => event.target !== box.current && read()}
      >
        {!store.room.value.offset && !over && <Skeleton height="2.25rem" lines={5} />}
        {store.room.value.offset && feed.length === 0 && !over && <p class="feed-empty">No comments yet. Say hello.</p>}
        {rows.map((row) =>
          row.kind === 'purchase' ? (
            <PurchaseRow key={row.key} row={row} />
          ) : (
            <Comment
              key={row.comment_id}
              row={row}
              store={store}
              avatar={!over}
              open={chosen === row.comment_id}
              onOpen={open.current}
              onDone={finish.current}
            />
          ),
        )}
      </div>
      {newer > 0 && (
        <Button kind="buy" size="s" icon="arrow_down" onClick={follow} testid="new-comments">
          {newer > 999 ? '999+' : newer} new
          <span class="visually-hidden"> comments</span>
        </Button>
      )}
      <Summary store={store} />
    </div>
  );
}

function PurchaseRow({ row }: { row: Extract<FeedRow, { kind: 'purchase' }> }) {
  return (
    <p class="row-purchase" data-testid="purchase-row">
      <Icon name="bag" size={15} />
      <span>
        <b>{row.first_name ?? 'Somebody'}</b> bought {row.quantity > 1 ? `${row.quantity} × ` : ''}
        {row.product_title}
      </span>
    </p>
  );
}

interface CommentProps {
  row: CommentRow;
  store: ShowStore;
  avatar: boolean;
  open: boolean;
  onOpen: (commentId: string) => void;
  onDone: () => void;
}

const Comment = memo(function Comment({ row, store, avatar, open, onOpen, onDone }: CommentProps) {
  const replied = useMemo(() => row.reply_to && findComment(store, row.reply_to), [row.reply_to]);
  const mine = row.user_id === store.you.value?.user_id;
  return (
    <article class={`comment ${mine ? 'mine' : ''} ${open ? 'open' : ''}`} data-testid="comment" data-comment={row.comment_id}>
      {avatar && <Avatar name={row.name} seed={row.user_id} size={28} />}
      <div class="comment-body">
        {replied && (
          <p class="comment-reply clip">
            <Icon name="reply" size={12} /> {replied.name}: {replied.text}
          </p>
        )}
        <p class="comment-line" onClick={() => onOpen(row.comment_id)}>
          <b class={`name hue-${hueOf(row.user_id)}`}>{row.name}</b>
          {row.badge && <Badge tone="brand">{row.badge}</Badge>} <span class="comment-text">{row.text}</span>
        </p>
        {open && <CommentActions row={row} store={store} onDone={onDone} />}
      </div>
      {!open && (
        <span class="comment-more">
          <IconButton icon="more" size="s" label={`Actions on ${row.name}’s comment`} onClick={() => onOpen(row.comment_id)} testid="comment-actions" />
        </span>
      )}
    </article>
  );
});

function CommentActions({ row, store, onDone }: { row: CommentRow; store: ShowStore; onDone: () => void }) {
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<unknown>, said: string) => {
    setBusy(true);
    try {
      await work();
      toast(said, 'ok');
      onDone();
    } catch (error) {
      toastProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const room = store.connection!;
  const may = store.you.value?.may ?? [];
  const others = row.user_id !== store.you.value?.user_id;
  const mute = (duration_s: number) => () => run(() => room.send({ type: 'mute', user_id: row.user_id, duration_s }), `${row.name} is muted.`);
  return (
    <div class="comment-actions">
      <time class="small" dateTime={new Date(row.at_ms).toISOString()}>
        {timeOfDay(row.at_ms)}
      </time>
      <Button
        size="s"
        icon="reply"
        testid="reply"
        onClick={() => {
          const reply = () => (store.replyTo.value = { comment_id: row.comment_id, name: row.name });
          if (!may.includes('say')) return store.signInFirst(reply);
          reply();
          onDone();
        }}
      >
        Reply
      </Button>
      {may.includes('delete_comment') && (
        <Button
          size="s"
          kind="danger"
          icon="trash"
          busy={busy}
          testid="delete-comment"
          onClick={() => run(() => room.send({ type: 'delete_comment', comment_id: row.comment_id }), 'Comment deleted.')}
        >
          Delete
        </Button>
      )}
      {may.includes('mute') && others && (
        <>
          <Button size="s" icon="mute_person" busy={busy} testid="mute-10" onClick={mute(600)}>
            Mute 10 min
          </Button>
          <Button size="s" icon="mute_person" busy={busy} testid="mute" onClick={mute(0)}>
            Mute for good
          </Button>
        </>
      )}
    </div>
  );
}

function findComment(store: ShowStore, commentId: string): CommentRow | undefined {
  return store.room.value.feed.find((row): row is CommentRow => row.kind === 'comment' && row.comment_id === commentId);
}

/** For those who listen: now and then how much was said, and the latest of it. */
function Summary({ store }: { store: ShowStore }) {
  const [words, setWords] = useState('');
  useEffect(() => {
    let seen = store.room.value.feed.at(-1);
    const timer = setInterval(() => {
      const feed = store.room.value.feed.filter((row) => row.kind === 'comment');
      const last = feed.at(-1);
      if (!last || last === seen) return;
      const count = feed.length - 1 - feed.findLastIndex((row) => row === seen);
      seen = last;
      setWords(`${count === 1 ? 'One new comment' : `${count} new comments`}. ${last.name}: ${last.text}`);
    }, SUMMARY_EVERY_MS);
    return () => clearInterval(timer);
  }, [store]);
  return (
    <p class="visually-hidden" role="status" aria-live="polite" data-testid="comment-summary">
      {words}
    </p>
  );
}
