import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AnyEvent, Snapshot } from '../../core/protocol.ts';
import { applyAll, fromSnapshot } from '../../core/room-state.ts';

// The same files as tests/overlay/test_replays.py: the page's room and the server's cannot drift apart.
const folder = new URL('../../../tests/overlay/replays/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** Fields that hold their default may be left out: an absent one, null, 0, false and an empty list are the same. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!value || typeof value !== 'object') return value;
  const empty = (field: unknown) => field == null || field === 0 || field === false || field === '' || (Array.isArray(field) && !field.length);
  return Object.fromEntries(Object.entries(value).filter(([, field]) => !empty(field)).map(([key, field]) => [key, plain(field)]));
}

describe.each(files)('%s', (name) => {
  const { snapshot, events, after } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as {
    snapshot: Snapshot;
    events: AnyEvent[];
    after: Snapshot;
  };
  const replayed = applyAll(fromSnapshot(snapshot), snapshot.offset.epoch, events);

  it.each(['offset', 'show_state', 'picture', 'pin', 'stock', 'muted', 'flashes', 'drops', 'auctions'] as const)('%s', (field) => {
    expect(plain(replayed[field])).toEqual(plain(after[field]));
  });
  it('keeps the order in which the views came', () => {
    expect(Object.keys(replayed.drops)).toEqual(Object.keys(after.drops ?? {}));
    expect(Object.keys(replayed.auctions)).toEqual(Object.keys(after.auctions ?? {}));
  });
  it('gives every card the prices of the pinned one', () => {
    for (const variant of after.pin?.variants ?? [])
      expect(replayed.prices[variant.variant_id]).toEqual({ price_minor: variant.price_minor, compare_at_minor: variant.compare_at_minor ?? null });
  });
});
