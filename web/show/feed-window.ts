/** Which rows of a fast feed are in the page. Pure. */

import { rowKey, type FeedRow } from '../core/room-state.ts';

/** Following shows the newest rows; reading holds the place of the last row that was seen and grows upwards. */
export type Place =
  | { mode: 'following' }
  | {
      mode: 'reading';
      end: { key: string; at_ms: number };
      size: number;
      /** Paused by the button: only the button goes on, not reaching the end. */
      held: boolean;
    };

export const FOLLOWING: Place = { mode: 'following' };
export const READING_STEP = 40;

export interface Window {
  rows: readonly FeedRow[];
  /** Rows that came since reading began. */
  newer: number;
  /** More rows could be shown above. */
  older: boolean;
}

export function windowOf(feed: readonly FeedRow[], place: Place, following: number): Window {
  if (place.mode === 'following') {
    const start = Math.max(0, feed.length - following);
    return { rows: feed.slice(start), newer: 0, older: start > 0 };
  }
  const end = endOf(feed, place.end) + 1;
  const start = Math.max(0, end - place.size);
  return { rows: feed.slice(start, end), newer: feed.length - end, older: start > 0 };
}

/** The last row seen, or, when it was deleted, the last one not newer than it. */
function endOf(feed: readonly FeedRow[], end: { key: string; at_ms: number }): number {
  const exact = feed.findLastIndex((row) => rowKey(row) === end.key);
  return exact >= 0 ? exact : feed.findLastIndex((row) => row.at_ms <= end.at_ms);
}

export function beginReading(feed: readonly FeedRow[], size: number, held = false): Place {
  const last = feed.at(-1);
  if (!last) return FOLLOWING;
  return { mode: 'reading', end: { key: rowKey(last), at_ms: last.at_ms }, size: size + READING_STEP, held };
}

export function growUpwards(place: Place): Place {
  return place.mode === 'reading' ? { ...place, size: place.size + READING_STEP } : place;
}
