import { describe, expect, it } from 'vitest';
import type { ShowCard } from '../../core/types.ts';
import { comingUp } from '../../shop/front.tsx';

const show = (id: string, starts_at: string, cancelled_at: string | null = null) => ({ id, starts_at, cancelled_at }) as ShowCard;
const CALLED_OFF = '2026-05-01T08:00:00Z';
const SHOWS = {
  live: [],
  upcoming: [show('later', '2026-05-03T10:00:00Z')],
  ended: [show('off', '2026-05-02T10:00:00Z', CALLED_OFF), show('over', '2026-05-02T10:00:00Z')],
};

describe('what comes up', () => {
  const ids = (now: string) => comingUp(SHOWS, Date.parse(now)).map(({ id }) => id);

  it('still names a show that was cancelled, in its place, until it would have begun', () => {
    expect(ids('2026-05-01T09:00:00Z')).toEqual(['off', 'later']);
    expect(ids('2026-05-02T10:00:00Z')).toEqual(['later']);
  });
});
