/** The run-of-show as rows with live prices and stock. Pure. */

import { cardOf, live } from '../../core/offer.ts';
import type { ProductCard } from '../../core/protocol.ts';
import type { RoomState } from '../../core/room-state.ts';
import type { ShowItem } from '../../core/types.ts';

export type RunState = 'pinned' | 'shown' | 'upcoming';

export interface RunRow {
  card: ProductCard;
  state: RunState;
  /** The digit that pins it, for the first nine. */
  digit: string | null;
}

type LiveRoom = Pick<RoomState, 'pin' | 'stock' | 'prices'> & Partial<Pick<RoomState, 'flashes'>>;

export function rowsOf(items: readonly ShowItem[], room: LiveRoom, seen: ReadonlySet<string>, currency: string, nowMs = 0): RunRow[] {
  return items.map(({ product, state }, index) => ({
    card: live(cardOf(product, currency), room, nowMs),
    state: stateOf(product.id, state, room.pin?.product_id, seen),
    digit: index < 9 ? String(index + 1) : null,
  }));
}

/** What the page was loaded with grows old with the next pin: then the room knows better. */
function stateOf(id: string, loaded: RunState, pinned: string | undefined, seen: ReadonlySet<string>): RunState {
  if (id === pinned) return 'pinned';
  return loaded !== 'upcoming' || seen.has(id) ? 'shown' : 'upcoming';
}

/** The list with one row at another place; the same list where that changes nothing. */
export function moved<Row>(rows: readonly Row[], from: number, to: number): Row[] {
  const next = [...rows];
  if (from < 0 || from >= next.length) return next;
  const [row] = next.splice(from, 1);
  next.splice(Math.max(0, Math.min(to, next.length)), 0, row!);
  return next;
}
