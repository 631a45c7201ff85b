import { describe, expect, it } from 'vitest';
import { rowKey, type FeedRow } from '../core/room-state.ts';
import { beginReading, FOLLOWING, growUpwards, READING_STEP, windowOf } from '../show/feed-window.ts';

const rows = (from: number, to: number): FeedRow[] =>
  Array.from({ length: to - from }, (_, index) => ({
    kind: 'comment',
    comment_id: `c${from + index}`,
    user_id: 'u',
    name: 'Ana',
    text: 'hi',
    at_ms: from + index,
  }));
const ends = (feed: readonly FeedRow[]) => [feed.at(0), feed.at(-1)].map((row) => row && rowKey(row));

describe('the window over the feed', () => {
  it('follows the newest rows and holds only so many', () => {
    const seen = windowOf(rows(0, 100), FOLLOWING, 18);
    expect(ends(seen.rows)).toEqual(['c82', 'c99']);
    expect(seen).toMatchObject({ newer: 0, older: true });
  });

  it('holds its place while a reader reads, and counts what came', () => {
    const place = beginReading(rows(0, 100), 18);
    const seen = windowOf(rows(0, 130), place, 18);
    expect(ends(seen.rows)).toEqual([`c${100 - 18 - READING_STEP}`, 'c99']);
    expect(seen.newer).toBe(30);
  });

  it('grows upwards to the oldest row', () => {
    let place = beginReading(rows(0, 100), 18);
    for (let step = 0; step < 3; step++) place = growUpwards(place);
    expect(windowOf(rows(0, 100), place, 18)).toMatchObject({ older: false });
  });

  it('keeps the place when the last row that was read is deleted or the ring moves on', () => {
    const place = beginReading(rows(0, 100), 18);
    const without = rows(0, 130).filter((row) => rowKey(row) !== 'c99');
    expect(ends(windowOf(without, place, 18).rows)[1]).toBe('c98');
    const moved = windowOf(rows(500, 1500), place, 18);
    expect(moved.rows).toEqual([]);
    expect(moved.newer).toBe(1000);
  });

  it('has nothing to hold in an empty feed', () => {
    expect(beginReading([], 18)).toBe(FOLLOWING);
  });
});
