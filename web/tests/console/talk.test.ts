import { describe, expect, it } from 'vitest';
import { after, beginReading, mutedOf, peopleOf, ROWS_AT_ONCE, step, windowOf, type CommentRow } from '../../ui/desk/talk.ts';

const comment = (at: number, user = 'u'): CommentRow => ({
  kind: 'comment',
  comment_id: `c${at}`,
  user_id: user,
  name: user.toUpperCase(),
  text: 'hello',
  at_ms: at,
});
const many = (count: number) => Array.from({ length: count }, (_, at) => comment(at));

describe('the comments in the page', () => {
  it('are the newest while following', () => {
    const { rows, older, newer } = windowOf(many(100), null);
    expect(rows).toHaveLength(ROWS_AT_ONCE);
    expect(rows.at(-1)!.comment_id).toBe('c99');
    expect([older, newer]).toEqual([true, 0]);
  });

  it('stay where they are while reading, and count what came', () => {
    const reading = beginReading(many(100));
    const { rows, newer } = windowOf(many(130), reading);
    expect(rows.at(-1)!.comment_id).toBe('c99');
    expect(newer).toBe(30);
  });

  it('keep their place when the last one read is deleted', () => {
    const reading = beginReading(many(100));
    const { rows, newer } = windowOf(many(130).filter((row) => row.at_ms !== 99), reading);
    expect(rows.at(-1)!.comment_id).toBe('c98');
    expect(newer).toBe(30);
  });
});

describe('choosing with keys', () => {
  const rows = many(3);
  it('starts at the newest and stops at both ends', () => {
    expect(step(rows, null, -1)).toBe('c2');
    expect(step(rows, 'c2', 1)).toBe('c2');
    expect(step(rows, 'c2', -1)).toBe('c1');
    expect(step(rows, 'c0', -1)).toBe('c0');
    expect(step([], null, 1)).toBeNull();
  });

  it('goes on to the next row after one is deleted', () => {
    expect(after(rows, 'c1')).toBe('c2');
    expect(after(rows, 'c2')).toBe('c1');
    expect(after([comment(1)], 'c1')).toBeNull();
  });
});

describe('people', () => {
  it('are counted once each, the latest first', () => {
    const people = peopleOf([comment(1, 'a'), comment(2, 'b'), comment(3, 'a')]);
    expect(people.map(({ user_id, comments }) => [user_id, comments])).toEqual([['a', 2], ['b', 1]]);
  });

  it('are muted until their time is over, with a name where it is known', () => {
    const room = { feed: [comment(1, 'a')], muted: { a: null, b: 5_000, c: 20_000 } };
    expect(mutedOf(room, 10_000)).toEqual([
      { user_id: 'a', name: 'A', until_ms: null },
      { user_id: 'c', name: null, until_ms: 20_000 },
    ]);
  });
});
