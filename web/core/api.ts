/** The HTTP API, typed. Every call has a deadline and fails with a `Problem`. */

import { ServerClock } from './clock.ts';
import { noAnswer, offline, Problem, type ProblemBody } from './problem.ts';
import type {
  Address,
  AddressFields,
  BidBook,
  BidderRow,
  BuyRequest,
  Card,
  CardSetup,
  Config,
  Me,
  Order,
  Product,
  SessionRow,
  Show,
  ShowCard,
  WaitlistRow,
} from './types.ts';
import type { OrderView, PlaceView } from './protocol.ts';

export const DEADLINE_MS = 10_000;

/** The server's clock by the answers' `Date`: true to half a second and half a round trip. Rooms know better. */
export const httpClock = new ServerClock();
const HALF_A_SECOND_MS = 500;

export interface CallOptions {
  signal?: AbortSignal;
  deadlineMs?: number;
  /** Raw body with its own media type (an image, a CSV); JSON otherwise. */
  raw?: { body: BodyInit; type: string };
}

/** One request. 204 and empty bodies give undefined. Throws Problem. */
export async function call<T>(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<T> {
  const deadline = AbortSignal.timeout(options.deadlineMs ?? DEADLINE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const headers: Record<string, string> = { Accept: 'application/json' };
  const init: RequestInit = { method, headers, signal, credentials: 'same-origin' };
  if (options.raw) {
    headers['Content-Type'] = options.raw.type;
    headers['X-Hawker'] = '1';
    init.body = options.raw.body;
  } else if (method !== 'GET') {
    headers['Content-Type'] = 'application/json';
    if (body !== undefined) init.body = JSON.stringify(body);
  }
  let response: Response;
  let text: string;
  const askedAt = Date.now();
  try {
    response = await fetch(path, init);
    const saidAt = Date.parse(response.headers.get('date') ?? '');
    if (saidAt) httpClock.sample(saidAt + HALF_A_SECOND_MS, askedAt, Date.now());
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw deadline.aborted ? noAnswer() : offline();
  }
  return answer<T>(response, text);
}

function answer<T>(response: Response, text: string): T {
  const json = /[/+]json/.test(response.headers.get('content-type') ?? '');
  let parsed: unknown;
  try {
    parsed = json && text ? JSON.parse(text) : undefined;
  } catch {
    parsed = undefined;
  }
  if (response.ok) {
    if (parsed === undefined && text && response.status !== 202) throw badAnswer(response.status);
    return parsed as T;
  }
  const problem = (parsed ?? {}) as ProblemBody;
  const retryAfter = Number(response.headers.get('retry-after'));
  throw new Problem({
    title: response.statusText,
    code: response.status >= 500 ? 'server_error' : `http_${response.status}`,
    ...(retryAfter > 0 ? { retry_after_s: retryAfter } : {}),
    ...problem,
    status: response.status,
  });
}

function badAnswer(status: number): Problem {
  return new Problem({
    status,
    code: 'bad_answer',
    detail: 'The shop gave an answer this page does not understand.',
    what_to_do: 'Reload the page.',
  });
}

const get = <T>(path: string, options?: CallOptions) => call<T>('GET', path, undefined, options);
const post = <T>(path: string, body: unknown = {}, options?: CallOptions) => call<T>('POST', path, body, options);
const patch = <T>(path: string, body: unknown) => call<T>('PATCH', path, body);
const put = <T>(path: string, body: unknown) => call<T>('PUT', path, body);
const del = <T>(path: string) => call<T>('DELETE', path, {});

/** `/a?b=c` from parts, leaving out what is null or empty. */
export function withQuery(path: string, query: Record<string, string | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  return search.size ? `${path}?${search}` : path;
}

const id = encodeURIComponent;

export const api = {
  config: () => get<Config>('/api/config'),
  me: () => get<{ user: Me | null }>('/api/me'),
  updateMe: (change: { display_name?: string; show_first_name?: boolean }) => patch<Me>('/api/me', change),
  changePassword: (current: string, next: string) => post<void>('/api/me/password', { current, new: next }),

  signUp: (form: { email: string; password: string; display_name: string }) => post<Me>('/api/auth/sign-up', form),
  signIn: (form: { email: string; password: string }) => post<Me>('/api/auth/sign-in', form),
  signOut: () => post<void>('/api/auth/sign-out'),
  verify: (token: string) => post<Me>('/api/auth/verify', { token }),
  resendVerification: () => post<void>('/api/auth/verify/resend'),
  forgot: (email: string) => post<void>('/api/auth/forgot', { email }),
  reset: (token: string, password: string) => post<void>('/api/auth/reset', { token, password }),
  sessions: () => get<{ sessions: SessionRow[] }>('/api/me/sessions'),
  endSession: (session: string) => del<void>(`/api/me/sessions/${id(session)}`),
  acceptInvitation: (token: string) => post<Me>('/api/invitations/accept', { token }),

  addresses: () => get<{ addresses: Address[] }>('/api/me/addresses'),
  addAddress: (fields: AddressFields & { is_default?: boolean }) => post<Address>('/api/me/addresses', fields),
  updateAddress: (address: string, change: Partial<Omit<Address, 'id'>>) =>
    patch<Address>(`/api/me/addresses/${id(address)}`, change),
  removeAddress: (address: string) => del<void>(`/api/me/addresses/${id(address)}`),

  cards: () => get<{ cards: Card[] }>('/api/me/cards'),
  startCard: () => post<CardSetup>('/api/me/cards/setup'),
  saveCard: (setup_intent: string) => post<Card>('/api/me/cards', { setup_intent }),
  preferCard: (card: string) => patch<Card>(`/api/me/cards/${id(card)}`, { is_default: true }),
  removeCard: (card: string) => del<void>(`/api/me/cards/${id(card)}`),

  orders: (cursor?: string | null) =>
    get<{ orders: Order[]; next: string | null }>(withQuery('/api/me/orders', { cursor })),
  order: (order: string, options?: CallOptions) => get<Order>(`/api/orders/${id(order)}`, options),
  buy: (request: BuyRequest) => post<OrderView>('/api/orders', request),
  authenticated: (order: string) => post<Order>(`/api/orders/${id(order)}/authenticated`),
  cancelOrder: (order: string) => post<Order>(`/api/orders/${id(order)}/cancel`),
  waitlist: () => get<{ places: WaitlistRow[] }>('/api/me/waitlist'),
  joinWaitlist: (variant_id: string, quantity = 1) => post<PlaceView>('/api/waitlist', { variant_id, quantity }),
  leaveWaitlist: (variant: string) => del<PlaceView | undefined>(`/api/waitlist/${id(variant)}`),
  myAuctions: () => get<{ auctions: BidderRow[] }>('/api/me/auctions'),
  bidBook: (auction: string, { before = null, pass = null }: { before?: number | null; pass?: string | null } = {}) =>
    get<BidBook>(withQuery(`/api/auctions/${id(auction)}/book`, { cursor: before?.toString(), pass })),
  retryOrder: (order: string, card_id: string) => post<OrderView>(`/api/orders/${id(order)}/retry`, { card_id }),

  shows: () => get<{ live: ShowCard[]; upcoming: ShowCard[]; ended: ShowCard[] }>('/api/shows'),
  show: (show: string, pass?: string | null) => get<Show>(withQuery(`/api/shows/${id(show)}`, { pass })),
  roomTicket: (show: string, pass?: string | null) =>
    post<{ ticket: string; expires_in_s: number }>(`/api/shows/${id(show)}/room-ticket`, pass ? { pass } : {}),
  publishTicket: (show: string) => post<{ url: string; token: string }>(`/api/shows/${id(show)}/publish-ticket`),
  calendarUrl: (show: string) => `/api/shows/${id(show)}/calendar.ics`,
  products: (query: { q?: string; cursor?: string | null } = {}) =>
    get<{ products: Product[]; next: string | null }>(withQuery('/api/products', query)),
  product: (handle: string) => get<Product>(`/api/products/${id(handle)}`),

  /** For /api/staff/*, whose shapes the console and back office define next to their pages. */
  staff: {
    get: <T>(path: string) => get<T>(`/api/staff${path}`),
    post: <T>(path: string, body?: unknown) => post<T>(`/api/staff${path}`, body),
    patch: <T>(path: string, body: unknown) => patch<T>(`/api/staff${path}`, body),
    put: <T>(path: string, body: unknown) => put<T>(`/api/staff${path}`, body),
    del: <T>(path: string) => del<T>(`/api/staff${path}`),
    upload: <T>(path: string, body: BodyInit, type: string) =>
      call<T>('POST', `/api/staff${path}`, undefined, { raw: { body, type }, deadlineMs: 60_000 }),
  },
};

/** The address of an image at about that many CSS pixels, for its server-made sizes. */
export function imageAt(url: string | null | undefined, width: 96 | 320 | 640 | 1280): string | undefined {
  if (!url) return undefined;
  return url.replace(/\/(96|320|640|1280)\.webp$/, `/${width}.webp`);
}
