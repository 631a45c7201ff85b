import { useEffect, useRef, useState } from 'preact/hooks';
import { timeOfDay } from '../core/format.ts';
import { asProblem, type Problem } from '../core/problem.ts';
import { mutedUntil } from '../core/room-state.ts';
import { uuidv7 } from '../core/uuidv7.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { me } from '../ui/session.ts';
import { ReactionBar } from './reactions.tsx';
import type { ShowStore } from './store.ts';

const LONGEST = 300;

/** Write a comment; where that is not possible, why, and what to do about it. */
export function Composer({ store, over }: { store: ShowStore; over: boolean }) {
  return (
    <div class="composer">
      <Writing store={store} />
      <div class="composer-tools">
        {over && (
          <>
            <IconButton icon="tag" label="Products of this show" kind="glass" badge={store.products.value.length} onClick={() => store.open('products')} testid="open-products" />
            <IconButton icon="bag" label="Bag" kind="glass" badge={store.bag.count.value} onClick={() => store.open('bag')} testid="open-bag" />
          </>
        )}
        <ReactionBar store={store} all={!over} />
      </div>
    </div>
  );
}

function Writing({ store }: { store: ShowStore }) {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const reply = store.replyTo.value;
  /** What was sent without an answer: under the same id once more, it is said once. */
  const unanswered = useRef<{ id: string; said: string; replyTo: string | null } | null>(null);
  useEffect(() => {
    if (reply) input.current?.focus();
  }, [reply]);
  const done = () => {
    unanswered.current = null;
    setProblem(null);
    setText('');
    store.replyTo.value = null;
  };
  // It may have arrived all the same, with only its answer lost.
  const newest = store.room.value.feed.at(-1);
  useEffect(() => {
    const mine = newest?.kind === 'comment' && newest.user_id === store.you.value?.user_id;
    if (mine && !busy && newest.text === unanswered.current?.said && newest.text === text.trim()) done();
  }, [newest]);

  if (me.value === null)
    return (
      <Button kind="secondary" icon="chat" onClick={() => store.signInFirst(() => input.current?.focus())} testid="sign-in-to-talk">
        Sign in to talk
      </Button>
    );

  const person = store.you.value?.user_id;
  const until = mutedUntil({ muted: store.muted.value }, person, store.connection?.clock.serverNow() ?? Date.now());
  if (until !== null)
    return (
      <p class="composer-muted" role="status" data-testid="muted">
        A moderator has muted you{Number.isFinite(until) ? ` until ${timeOfDay(until)}` : ''}. You can watch and buy.
      </p>
    );

  const send = async (event: Event) => {
    event.preventDefault();
    const said = text.trim();
    if (!said || busy) return;
    setBusy(true);
    setProblem(null);
    const replyTo = reply?.comment_id ?? null;
    const before = unanswered.current;
    const id = before?.said === said && before.replyTo === replyTo ? before.id : uuidv7();
    try {
      await store.connection!.send({ type: 'say', text: said, reply_to: replyTo }, id);
      done();
    } catch (error) {
      const problem = asProblem(error);
      unanswered.current = problem.code === 'no_answer' ? { id, said, replyTo } : null;
      setProblem(problem);
    } finally {
      setBusy(false);
      input.current?.focus();
    }
  };

  const waiting = store.status.value !== 'open';
  return (
    <form class="composer-form" onSubmit={send} data-shortcut="composer">
      {reply && (
        <p class="composer-reply">
          <span class="clip">Replying to {reply.name}</span>
          <IconButton icon="close" size="s" label="Do not reply" onClick={() => (store.replyTo.value = null)} />
        </p>
      )}
      <div class="composer-row">
        <label class="visually-hidden" for="comment">
          Comment
        </label>
        <input
          ref={input}
          id="comment"
          class="composer-input"
          value={text}
          maxLength={LONGEST}
          placeholder={waiting ? 'Connecting…' : 'Say something…'}
          autocomplete="off"
          enterkeyhint="send"
          aria-keyshortcuts="/"
          aria-describedby="composer-problem"
          data-testid="composer"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {text.trim() && (
          <button type="submit" class="composer-send" aria-label="Send" aria-busy={busy} data-testid="send">
            <SendArrow />
          </button>
        )}
      </div>
      <p id="composer-problem" class="composer-problem" role="alert" data-testid="comment-refused">
        {problem && [problem.message, problem.retryAfterS ? `Wait ${Math.ceil(problem.retryAfterS)} s.` : problem.whatToDo].filter(Boolean).join(' ')}
      </p>
    </form>
  );
}

function SendArrow() {
  return (
    <svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d="M12 19V5.5M6 11l6-6 6 6" />
    </svg>
  );
}
