/** Which key does what on the console. Pure. */

export type KeyWish =
  | { do: 'pin'; place: number }
  | { do: 'unpin' | 'next' | 'before' | 'delete' | 'mute' | 'mute_for_good' | 'write' | 'help' | 'leave' };

export interface KeyPress {
  key: string;
  ctrlKey?: boolean;
  metaKey?: boolean;
  altKey?: boolean;
}

const WISHES: Record<string, KeyWish> = {
  '0': { do: 'unpin' },
  u: { do: 'unpin' },
  U: { do: 'unpin' },
  j: { do: 'next' },
  J: { do: 'next' },
  k: { do: 'before' },
  K: { do: 'before' },
  d: { do: 'delete' },
  D: { do: 'delete' },
  m: { do: 'mute' },
  M: { do: 'mute_for_good' },
  '/': { do: 'write' },
  '?': { do: 'help' },
  Escape: { do: 'leave' },
};

/** What a key asks for; null for keys of the browser and the system. `?` and Escape work with the rest turned off. */
export function wishOf(press: KeyPress, on: boolean): KeyWish | null {
  if (press.ctrlKey || press.metaKey || press.altKey) return null;
  const wish = /^[1-9]$/.test(press.key) ? { do: 'pin' as const, place: Number(press.key) - 1 } : (WISHES[press.key] ?? null);
  if (!on && wish && wish.do !== 'help' && wish.do !== 'leave') return null;
  return wish;
}

export const KEYS: readonly { keys: readonly string[]; does: string; needs: 'pin' | 'delete_comment' | 'mute' | null }[] = [
  { keys: ['1', '…', '9'], does: 'Pin the product at that place', needs: 'pin' },
  { keys: ['0', 'U'], does: 'Unpin', needs: 'pin' },
  { keys: ['J', 'K'], does: 'Choose the next or previous comment', needs: null },
  { keys: ['D'], does: 'Delete the chosen comment', needs: 'delete_comment' },
  { keys: ['M'], does: 'Mute its writer for 5 minutes', needs: 'mute' },
  { keys: ['Shift', 'M'], does: 'Mute its writer for the rest of the show', needs: 'mute' },
  { keys: ['/'], does: 'Write a comment', needs: null },
  { keys: ['Enter'], does: 'Send a changed price or stock', needs: 'pin' },
  { keys: ['Esc'], does: 'Put back, close, leave the chosen comment', needs: null },
  { keys: ['?'], does: 'These keys', needs: null },
];
