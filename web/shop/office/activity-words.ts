/** What somebody did, in words, and where to see it. Pure. */

import { money } from '../../core/format.ts';
import type { AuditEntry } from './staff.ts';

const ROOMS: readonly (readonly [string, readonly string[]])[] = [
  ['/office/shows', ['add_show', 'edit_show', 'set_cover', 'set_items', 'start_show', 'end_show', 'cancel_show', 'rotate_stream_key', 'add_pass', 'revoke_pass']],
  ['/office/orders', ['fulfil', 'refund', 'owed_paid']],
  ['/auctions', ['auction_announced', 'auction_opened', 'auction_cancelled']],
];

export const actionWords = (action: string): string => (action.charAt(0).toUpperCase() + action.slice(1)).replaceAll('_', ' ');

/** The page of what it was done to; null where it has none. */
export function placeOf({ action, subject, product_id }: Pick<AuditEntry, 'action' | 'subject' | 'product_id'>): string | null {
  if (product_id) return `/office/catalogue/${product_id}`;
  const room = ROOMS.find(([, actions]) => actions.includes(action));
  return room && subject ? `${room[0]}/${subject}` : null;
}

const LONGEST = 120;

/** Amounts as money; ids say nothing to people and are left out. */
export function detailWords(detail: Record<string, unknown>, currency: string): string {
  const said = Object.entries(detail)
    .filter(([name, value]) => !isNothing(value) && !name.endsWith('_id') && name !== 'pass')
    .map(([name, value]) => `${name.replace(/_minor$/, '').replaceAll('_', ' ')}: ${valueWords(name, value, currency)}`)
    .join(', ');
  return said.length > LONGEST ? `${said.slice(0, LONGEST)}…` : said;
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const isNothing = (value: unknown): boolean => value === null || value === '' || ID.test(String(value)) || (Array.isArray(value) && value.length === 0);

function valueWords(name: string, value: unknown, currency: string): string {
  if (name.endsWith('_minor') && typeof value === 'number') return money(value, currency);
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
