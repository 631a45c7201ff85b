import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { timeOfDay } from '../../core/format.ts';
import { asProblem, type Problem } from '../../core/problem.ts';
import { mutedUntil } from '../../core/room-state.ts';
import { Avatar } from '../avatar.tsx';
import { Button, IconButton } from '../button.tsx';
import { Icon } from '../icons.tsx';
import { Badge, Skeleton } from '../status.tsx';
import { sentence, type DeskStore } from './store.ts';
import { beginReading, commentsOf, ROWS_AT_ONCE, windowOf, type CommentRow, type Reading } from './talk.ts';

const SUMMARY_EVERY_MS = 12_000;
const LONGEST = 300;
export const MUTE_S = 300;

/** The room's comments, with what this person may do about them. */
export function Comments({ store }: { store: DeskStore }) {
  const box = useRef<HTMLDivElement>(null);
  const [reading, setReading] = useState<Reading>(null);
  const comments = commentsOf(store.room.value.feed);
  const { rows, newer, older } = windowOf(comments, reading);
  const selected = store.selected.value;
  const fromBottom = useRef(0);
  const height = useRef(0);

  const read = () => setReading((before) => before ?? beginReading(comments));
  const follow = () => {
    store.selected.value = null;
    setReading(null);
  };

  // A chosen row stays under the hand, however fast others come.
  useEffect(() => {
    if (selected) read();
  }, [selected]);

  useLayoutEffect(() => {
    const element = box.current!;
    element.scrollTop = reading ? element.scrollHeight - fromBottom.current : element.scrollHeight;
  }, [reading, rows[0]?.comment_id, rows.length, comments.at(-1)?.comment_id]);

  useEffect(() => {
    const element = box.current!;
    const size = new ResizeObserver(() => {
      if (!reading) element.scrollTop = element.scrollHeight;
    });
    size.observe(element);
    return () => size.disconnect();
  }, [reading === null]);

  const scrolled = () => {
    const element = box.current!;
    // A box that changes its height scrolls without anybody's hand.
    const resized = height.current !== element.clientHeight;
    height.current = element.clientHeight;
    fromBottom.current = element.scrollHeight - element.scrollTop;
    const below = fromBottom.current - element.clientHeight;
    if (!reading && below > 48 && !resized) read();
    else if (reading && below < 8 && newer === 0 && !selected) setReading(null);
    if (reading && element.scrollTop < 60 && older) setReading({ ...reading, size: reading.size + ROWS_AT_ONCE });
  };

  return (
    <div class="talk">
      <div ref={box} class="talk-rows" role="log" aria-live="off" aria-label="Comments" tabIndex={0} data-testid="comments" onScroll={scrolled}>
        {!store.room.value.offset && <Skeleton height="2.5rem" lines={5} />}
        {store.room.value.offset && comments.length === 0 && <p class="quiet-empty">No comments yet.</p>}
        {rows.map((row) => (
          <Comment key={row.comment_id} row={row} store={store} chosen={row.comment_id === selected} />
        ))}
      </div>
      {reading && (
        <Button size="s" kind="primary" icon="arrow_down" onClick={follow} testid="new-comments">
          {newer ? `${newer > 999 ? '999+' : newer} new` : 'Newest'}
          <span class="visually-hidden"> comments</span>
        </Button>
      )}
      <Summary store={store} />
    </div>
  );
}

function Comment({ row, store, chosen }: { row: CommentRow; store: DeskStore; chosen: boolean }) {
  const element = useRef<HTMLElement>(null);
  useEffect(() => {
    if (chosen && !element.current!.contains(document.activeElement)) element.current!.focus({ preventScroll: false });
  }, [chosen]);
  const now = store.connection?.clock.serverNow() ?? Date.now();
  const muted = mutedUntil(store.room.value, row.user_id, now) !== null;
  const replied = row.reply_to ? commentsOf(store.room.value.feed).find((other) => other.comment_id === row.reply_to) : null;
  return (
    <article
      ref={element}
      class={`talk-row${chosen ? ' chosen' : ''}${muted ? ' muted-person' : ''}`}
      tabIndex={-1}
      data-testid="comment"
      data-comment-id={row.comment_id}
      data-user-id={row.user_id}
      aria-current={chosen ? 'true' : undefined}
    >
      <Avatar name={row.name} seed={row.user_id} size={28} />
      <div class="talk-body">
        <p class="talk-who">
          <b class="clip">{row.name}</b>
          {row.badge && <Badge tone="brand">{row.badge}</Badge>}
          {muted && <Badge tone="warn">Muted</Badge>}
          <time class="tabular" dateTime={new Date(row.at_ms).toISOString()}>{timeOfDay(row.at_ms)}</time>
        </p>
        {replied && (
          <p class="talk-reply clip">
            <Icon name="reply" size={12} /> {replied.name}: {replied.text}
          </p>
        )}
        <p class="talk-text">{row.text}</p>
      </div>
      <CommentTools row={row} store={store} muted={muted} />
    </article>
  );
}

function CommentTools({ row, store, muted }: { row: CommentRow; store: DeskStore; muted: boolean }) {
  const others = row.user_id !== store.you.value?.user_id;
  const busy = store.busy.value;
  const muting = busy.has(`mute:${row.user_id}`);
  return (
    <div class="talk-tools">
      {others && store.may('mute') && !muted && (
        <MuteButton store={store} userId={row.user_id} name={row.name} busy={muting} />
      )}
      {others && muted && store.may('unmute') && (
        <IconButton size="s" icon="sound" label={`Let ${row.name} write again`} disabled={muting} onClick={() => void store.unmute(row.user_id, row.name)} testid="comment-unmute" />
      )}
      {store.may('delete_comment') && (
        <IconButton
          size="s"
          icon="trash"
          kind="danger"
          label={`Delete ${row.name}’s comment`}
          disabled={busy.has(`delete:${row.comment_id}`)}
          onClick={() => void store.deleteComment(row.comment_id, row.name)}
          testid="comment-delete"
        />
      )}
    </div>
  );
}

/** Five minutes with one click; for good beside it, where the second click is meant. */
export function MuteButton(props: { store: DeskStore; userId: string; name: string; busy: boolean }) {
  const { store, userId, name, busy } = props;
  const [open, setOpen] = useState<'down' | 'up' | null>(null);
  const toggle = (event: MouseEvent) => setOpen(open ? null : sideWithRoom(event.currentTarget as HTMLElement));
  const mute = (duration_s: number) => {
    setOpen(null);
    void store.mute(userId, name, duration_s);
  };
  return (
    <span
      class="mute"
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !open) return;
        setOpen(null);
        event.stopPropagation();
      }}
      onFocusOut={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOpen(null);
      }}
    >
      <IconButton size="s" icon="mute_person" label={`Mute ${name} for 5 minutes`} disabled={busy} onClick={() => mute(MUTE_S)} testid="comment-mute" />
      <IconButton size="s" icon="chevron_down" label={`More ways to mute ${name}`} aria-expanded={open !== null} disabled={busy} onClick={toggle} testid="comment-mute-more" />
      {open && (
        <span class={`mute-box ${open}`}>
          <Button size="s" kind="quiet" onClick={() => mute(MUTE_S)}>For 5 minutes</Button>
          <Button size="s" kind="quiet" onClick={() => mute(3600)}>For an hour</Button>
          <Button size="s" kind="danger" onClick={() => mute(0)} testid="comment-mute-for-good">For good</Button>
        </span>
      )}
    </span>
  );
}

const MENU_HEIGHT_PX = 140;

/** A menu near the end of a list would open out of sight. */
function sideWithRoom(button: HTMLElement): 'down' | 'up' {
  const list = button.closest('.talk-rows, .panel-body')?.getBoundingClientRect();
  return list && button.getBoundingClientRect().bottom + MENU_HEIGHT_PX > list.bottom ? 'up' : 'down';
}

/** Writing as oneself; a refusal stands under the field until the next try. */
export function Composer({ store }: { store: DeskStore }) {
  const draft = store.kept('comment', '');
  const text = draft.value;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const input = useRef<HTMLInputElement>(null);
  if (!store.may('say')) return null;

  const send = async (event: Event) => {
    event.preventDefault();
    const said = text.trim();
    if (!said || busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await store.send({ type: 'say', text: said, reply_to: null });
      draft.value = '';
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
      input.current?.focus();
    }
  };
  return (
    <form class="desk-composer" onSubmit={send}>
      <label class="visually-hidden" for="desk-comment">
        Comment
      </label>
      <input
        ref={input}
        id="desk-comment"
        class="input"
        value={text}
        maxLength={LONGEST}
        placeholder={store.status.value === 'open' ? 'Write to the room…' : 'Connecting…'}
        autocomplete="off"
        enterkeyhint="send"
        aria-describedby="desk-comment-problem"
        data-testid="composer"
        onInput={(event) => (draft.value = event.currentTarget.value)}
      />
      <button type="submit" class="button primary m" aria-label="Send" aria-busy={busy} disabled={!text.trim()} data-testid="send">
        <Icon name="send" size={18} />
      </button>
      <p id="desk-comment-problem" class="desk-composer-problem" role="alert" data-testid="comment-refused">
        {problem && sentence(problem)}
      </p>
    </form>
  );
}

/** For those who listen: now and then how much was said, and the latest of it. */
function Summary({ store }: { store: DeskStore }) {
  const [words, setWords] = useState('');
  useEffect(() => {
    let seen = commentsOf(store.room.value.feed).at(-1)?.at_ms ?? 0;
    const timer = setInterval(() => {
      const fresh = commentsOf(store.room.value.feed).filter((row) => row.at_ms > seen);
      const last = fresh.at(-1);
      if (!last) return;
      seen = last.at_ms;
      setWords(`${fresh.length === 1 ? 'One new comment' : `${fresh.length} new comments`}. ${last.name}: ${last.text}`);
    }, SUMMARY_EVERY_MS);
    return () => clearInterval(timer);
  }, [store]);
  return (
    <p class="visually-hidden" role="status" aria-live="polite">
      {words}
    </p>
  );
}
