/** The talk as a moderator works on it: which comments are in the page, who wrote, who is muted. Pure. */

import type { FeedRow, RoomState } from '../../core/room-state.ts';

export type CommentRow = Extract<FeedRow, { kind: 'comment' }>;

export const ROWS_AT_ONCE = 60;

/** Following shows the newest; reading keeps the place of the last row seen, so that nothing moves under the hand. */
export type Reading = { lastAtMs: number; lastId: string; size: number } | null;

export interface TalkWindow {
  rows: readonly CommentRow[];
  newer: number;
  older: boolean;
}

export const commentsOf = (feed: readonly FeedRow[]): CommentRow[] =>
  feed.filter((row): row is CommentRow => row.kind === 'comment');

export function windowOf(comments: readonly CommentRow[], reading: Reading): TalkWindow {
  const end = reading ? endOf(comments, reading) : comments.length;
  const start = Math.max(0, end - (reading?.size ?? ROWS_AT_ONCE));
  return { rows: comments.slice(start, end), newer: comments.length - end, older: start > 0 };
}

/** Past the last row seen, or, once that was deleted, past the last that is not newer. */
function endOf(comments: readonly CommentRow[], { lastId, lastAtMs }: NonNullable<Reading>): number {
  const exact = comments.findLastIndex((row) => row.comment_id === lastId);
  return 1 + (exact >= 0 ? exact : comments.findLastIndex((row) => row.at_ms <= lastAtMs));
}

export function beginReading(comments: readonly CommentRow[]): Reading {
  const last = comments.at(-1);
  return last ? { lastId: last.comment_id, lastAtMs: last.at_ms, size: ROWS_AT_ONCE } : null;
}

/** One step through the rows, from the newest when none was chosen. */
export function step(rows: readonly CommentRow[], chosen: string | null, by: 1 | -1): string | null {
  const at = rows.findIndex((row) => row.comment_id === chosen);
  if (at < 0) return rows.at(-1)?.comment_id ?? null;
  return rows[Math.max(0, Math.min(rows.length - 1, at + by))]!.comment_id;
}

/** What is chosen after a row is gone: the next newer, else the next older. */
export function after(rows: readonly CommentRow[], gone: string): string | null {
  const at = rows.findIndex((row) => row.comment_id === gone);
  return (rows[at + 1] ?? rows[at - 1])?.comment_id ?? null;
}

export interface Person {
  user_id: string;
  name: string;
  badge: string | null;
  comments: number;
  last_ms: number;
}

/** Who wrote, the latest first. */
export function peopleOf(comments: readonly CommentRow[]): Person[] {
  const people = new Map<string, Person>();
  for (const { user_id, name, badge, at_ms } of comments) {
    const before = people.get(user_id)?.comments ?? 0;
    people.set(user_id, { user_id, name, badge: badge ?? null, comments: before + 1, last_ms: at_ms });
  }
  return [...people.values()].sort((a, b) => b.last_ms - a.last_ms);
}

export interface MutedPerson {
  user_id: string;
  name: string | null;
  /** Null: for the rest of the show. */
  until_ms: number | null;
}

/** Who may not write now, with their names where a comment tells them. */
export function mutedOf(room: Pick<RoomState, 'muted' | 'feed'>, nowMs: number): MutedPerson[] {
  const names = new Map(commentsOf(room.feed).map((row) => [row.user_id, row.name]));
  return Object.entries(room.muted)
    .filter(([, until]) => until === null || until > nowMs)
    .map(([user_id, until_ms]) => ({ user_id, name: names.get(user_id) ?? null, until_ms }));
}
