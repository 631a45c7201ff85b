// @vitest-environment happy-dom
import { render } from 'preact';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Page } from '../../console/page.tsx';
import { EMPTY_ROOM } from '../../core/room-state.ts';
import { DeskStore } from '../../ui/desk/store.ts';

vi.mock('../../core/whep.ts', () => ({ WhepPlayer: class { start() {} stop() {} hurry() {} } }));

const VARIANT = { id: 'v1', title: 'Default Title', price_minor: 4000, buyer_limit: 0, available: 3 };
const PRODUCT = { id: 'p1', handle: 'bowl', title: 'Bowl', description: '', state: 'active', images: [], variants: [VARIANT] };
const SHOW = { id: 's1', title: 'Show', state: 'live', items: [{ position: 0, product: PRODUCT, state: 'upcoming' }], can: { produce: true } };

let width_rem: number;
const turned = new Set<() => void>();

/** A screen so wide: the queries of the layouts are the only ones asked. */
function screen(query: string) {
  const [, edge, rem] = /(min|max)-width: ([\d.]+)rem/.exec(query) ?? [];
  const holds = () => (edge === 'min' ? width_rem >= Number(rem) : edge === 'max' && width_rem <= Number(rem));
  return { get matches() { return holds(); }, addEventListener: (_: string, tell: () => void) => turned.add(tell), removeEventListener: (_: string, tell: () => void) => turned.delete(tell) };
}

const at = <Kind extends HTMLElement = HTMLInputElement>(testid: string) => document.querySelector<Kind>(`[data-testid="${testid}"]`)!;
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 30_000, interval: 5 });
async function type(testid: string, text: string) {
  await eventually(() => expect(at(testid)).not.toBeNull());
  at(testid).value = text;
  at(testid).dispatchEvent(new Event('input', { bubbles: true }));
}
async function turn(rem: number) {
  width_rem = rem;
  [...turned].forEach((tell) => tell());
  const layout = rem < 48 ? 'narrow' : rem < 72 ? 'medium' : 'wide';
  await eventually(() => expect(document.querySelector('.console')!.classList).toContain(layout));
}

beforeEach(async () => {
  vi.stubGlobal('matchMedia', screen);
  document.body.innerHTML = '<div id="app"></div>';
  width_rem = 37;
  const store = new DeskStore({ showId: 's1', admits: () => true, title: 'Console' });
  store.show.value = SHOW as never;
  store.room.value = { ...EMPTY_ROOM, offset: { epoch: 'e', number: 1 }, show_state: 'live' };
  store.you.value = { user_id: 'u1', name: 'Ana', roles: [], may: ['pin', 'say', 'start_flash', 'schedule_drop', 'set_price', 'set_stock'] } as never;
  render(<Page store={store} />, document.getElementById('app')!);
  await eventually(() => expect(turned.size).toBeGreaterThanOrEqual(2));
});

afterEach(() => {
  render(null, document.getElementById('app')!);
  vi.unstubAllGlobals();
  turned.clear();
});

it('a turned tablet keeps the open dialog and all that was typed, both ways', async () => {
  await type('stock-v1', '17');
  at('sell-p1').click();
  await type('flash-price', '12.34');
  for (const rem of [60, 80, 37]) {
    await turn(rem);
    await eventually(() => {
      expect(at<HTMLDialogElement>('sell-dialog').open).toBe(true);
      expect([at('flash-price').value, at('stock-v1').value]).toEqual(['12.34', '17']);
    });
  }
  await turn(60);
  await type('composer', 'half a sentence');
  await turn(80);
  await turn(37);
  await turn(60);
  await eventually(() => expect(at('composer').value).toBe('half a sentence'));
}, 60_000);
