import { useEffect, useState } from 'preact/hooks';
import { MUTE_S } from '../ui/desk/comments.tsx';
import { after, commentsOf, step } from '../ui/desk/talk.ts';
import type { DeskStore } from '../ui/desk/store.ts';
import { Dialog } from '../ui/dialog.tsx';
import { Checkbox } from '../ui/field.tsx';
import { KEYS, wishOf, type KeyWish } from './keys.ts';

const KEPT_AS = 'hawker-console-keys';

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** The console's keys; `on` is kept, since single keys can be in the way of speech input (WCAG 2.1.4). */
export function useShortcuts(store: DeskStore, help: () => void): { on: boolean; turn: (on: boolean) => void } {
  const [on, setOn] = useState(kept);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      const wish = wishOf(event, on);
      if (!wish) return;
      if (isTyping(event.target)) {
        if (wish.do === 'leave') (event.target as HTMLElement).blur();
        return;
      }
      // A held key would pin or delete many times.
      if (event.repeat && wish.do !== 'next' && wish.do !== 'before') return;
      if (wish.do === 'help') help();
      else carryOut(store, wish);
      if (wish.do !== 'leave') event.preventDefault();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [store, on]);
  const turn = (next: boolean) => {
    setOn(next);
    try {
      localStorage.setItem(KEPT_AS, next ? 'on' : 'off');
    } catch {
      // Without storage the choice holds for this page.
    }
  };
  return { on, turn };
}

function kept(): boolean {
  try {
    return localStorage.getItem(KEPT_AS) !== 'off';
  } catch {
    return true;
  }
}

function carryOut(store: DeskStore, wish: KeyWish): void {
  const rows = commentsOf(store.room.value.feed);
  const chosen = rows.find((row) => row.comment_id === store.selected.value);
  switch (wish.do) {
    case 'pin': {
      const row = store.run.value[wish.place];
      if (row && store.may('pin')) void store.pin(row);
      return;
    }
    case 'unpin':
      if (store.may('unpin') && store.room.value.pin) void store.unpin();
      return;
    case 'next':
    case 'before':
      store.selected.value = step(rows, store.selected.value, wish.do === 'next' ? 1 : -1);
      return;
    case 'delete':
      if (!chosen || !store.may('delete_comment')) return;
      store.selected.value = after(rows, chosen.comment_id);
      void store.deleteComment(chosen.comment_id, chosen.name);
      return;
    case 'mute':
    case 'mute_for_good':
      if (chosen && store.may('mute')) void store.mute(chosen.user_id, chosen.name, wish.do === 'mute' ? MUTE_S : 0);
      return;
    case 'write':
      document.getElementById('desk-comment')?.focus();
      return;
    case 'leave':
      store.selected.value = null;
      return;
  }
}

export function ShortcutsDialog(props: { open: boolean; onClose: () => void; on: boolean; onSwitch: (on: boolean) => void; store: DeskStore }) {
  const { open, onClose, on, onSwitch, store } = props;
  const keys = KEYS.filter(({ needs }) => needs === null || store.may(needs));
  return (
    <Dialog open={open} onClose={onClose} title="Keyboard" testid="shortcuts-dialog">
      <dl class="keys">
        {keys.map(({ keys: names, does }) => (
          <div key={does}>
            <dt>
              {names.map((name) => (name === '…' ? <span key={name}>…</span> : <kbd key={name}>{name}</kbd>))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <Checkbox label="Single keys do things (off: only ? and Esc)" checked={on} onValue={onSwitch} testid="shortcuts-on" />
    </Dialog>
  );
}
