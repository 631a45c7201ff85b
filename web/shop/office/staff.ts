/** The back office's API and who may see what of it. Mirrors the server's table of roles, which decides. */

import { api, withQuery } from '../../core/api.ts';
import type { Order, Product, ProductImage, ShowCard, Variant } from '../../core/types.ts';
import { hasRole } from '../../ui/session.ts';

export interface StaffShow extends ShowCard {
  playback_id: string;
  host_id: string | null;
}

export interface ShowPlan {
  title: string;
  description: string;
  starts_at: string;
  visibility: string;
  host_id: string | null;
}

/** `was` is what it is based on: where somebody else was faster, the shop refuses it. */
type Over<Fields> = Partial<Fields> & { was?: Partial<Fields> };

export interface ShowChange extends Over<ShowPlan> {
  cover_image_id?: null;
}

export interface Summary {
  orders: number;
  paid: number;
  units: number;
  revenue_minor: number;
  viewers_now: number;
}

export interface KeyHint {
  hint: string;
  created_at: string;
}

export interface Pass {
  id: string;
  label: string;
  created_at: string;
  expires_at: string | null;
}

export interface StaffProduct extends Product {
  vendor: string;
  tags: string[];
}

/** One product by itself: `archived` variants were taken off sale. */
export interface WholeProduct extends StaffProduct {
  archived: Variant[];
}

export interface NewVariant {
  title: string;
  sku: string;
  price_minor: number;
  compare_at_minor: number | null;
  buyer_limit: number;
  available: number;
}

export interface ProductText {
  title: string;
  handle?: string;
  description: string;
  vendor: string;
  tags: string[];
  state: string;
}

export interface ImportReport {
  created: number;
  updated: number;
  problems: { line: number; code: string; detail: string }[];
}

export interface StaffOrder extends Order {
  buyer_name: string | null;
  buyer_email: string | null;
}

/** A refund of many orders. Of those `asked` for some are `given`, some `failed`, the rest under way. */
export interface RefundRun {
  id: string;
  product_title: string | null;
  cancels_show: boolean;
  reason: string;
  asked_by_name: string | null;
  created_at: string;
  done_at: string | null;
  asked: number;
  given: number;
  failed: number;
  given_minor: number;
}

/** With what one more could give back now: orders to send, and orders that were sent. */
export interface RefundRuns {
  runs: RefundRun[];
  to_send: number;
  to_send_minor: number;
  sent: number;
  sent_minor: number;
}

export interface Member {
  user_id: string;
  email: string;
  display_name: string;
  role: string;
  since: string;
}

export interface Invitation {
  id: string;
  email: string;
  role: string;
  created_at: string;
  expires_at: string;
}

export interface ShopSettings {
  name: string;
  currency: string;
  country: string;
  tax_rate_bp: number;
  flat_shipping_minor: number;
  contact_email: string;
  currencies: string[];
}

export interface AuditEntry {
  id: number;
  actor_name: string | null;
  action: string;
  subject: string;
  detail: Record<string, unknown>;
  at: string;
  /** What the subject is called. */
  about: string | null;
  /** The product that it is, or is a variant of. */
  product_id: string | null;
}

export type Page<Name extends string, Row> = Record<Name, Row[]> & { next: string | null };

const { get, post, patch, put, del, upload } = api.staff;
const product = (id: string) => `/products/${encodeURIComponent(id)}`;
const show = (id: string) => `/shows/${encodeURIComponent(id)}`;

export const staff = {
  shows: () => get<{ shows: StaffShow[] }>('/shows'),
  addShow: (plan: ShowPlan) => post<StaffShow>('/shows', plan),
  changeShow: (id: string, change: ShowChange) => patch<StaffShow>(show(id), change),
  startShow: (id: string) => post<StaffShow>(`${show(id)}/start`, {}),
  endShow: (id: string) => post<StaffShow>(`${show(id)}/end`, {}),
  setItems: (id: string, product_ids: string[]) => put<void>(`${show(id)}/items`, { product_ids }),
  summary: (id: string) => get<Summary>(`${show(id)}/summary`),
  key: (id: string) => get<KeyHint | null>(`${show(id)}/stream-key`),
  newKey: (id: string) => post<{ key: string; hint: string }>(`${show(id)}/stream-key`, {}),
  passes: (id: string) => get<{ passes: Pass[] }>(`${show(id)}/passes`),
  addPass: (id: string, label: string) => post<{ id: string; url: string }>(`${show(id)}/passes`, { label }),
  revokePass: (id: string, pass: string) => del<void>(`${show(id)}/passes/${encodeURIComponent(pass)}`),

  products: (query: { q?: string; state?: string | null; cursor?: string | null }) =>
    get<Page<'products', StaffProduct>>(withQuery('/products', query)),
  product: (id: string) => get<WholeProduct>(product(id)),
  addProduct: (text: ProductText & { variants: NewVariant[] }) => post<WholeProduct>('/products', text),
  changeProduct: (id: string, change: Over<ProductText>) => patch<WholeProduct>(product(id), change),
  addVariant: (id: string, variant: NewVariant) => post<Variant>(`${product(id)}/variants`, variant),
  changeVariant: (id: string, change: Over<Omit<NewVariant, 'available'>> & { state?: string }) => patch<Variant>(`/variants/${id}`, change),
  setStock: (id: string, available: number, was: number) => put<Variant>(`/variants/${id}/stock`, { available, was: { available: was } }),
  addImage: (id: string, file: File, alt: string) =>
    upload<ProductImage>(withQuery(`${product(id)}/images`, { alt }), file, file.type || 'image/jpeg'),
  orderImages: (id: string, image_ids: string[]) => put<void>(`${product(id)}/images`, { image_ids }),
  describeImage: (id: string, image: string, alt: string) => patch<void>(`${product(id)}/images/${image}`, { alt }),
  removeImage: (id: string, image: string) => del<void>(`${product(id)}/images/${image}`),
  importCsv: (file: File) => upload<ImportReport>('/products/import', file, 'text/csv'),

  orders: (query: { state?: string | null; owed?: 'true' | null; q?: string; cursor?: string | null }) =>
    get<Page<'orders', StaffOrder>>(withQuery('/orders', query)),
  order: (id: string) => get<StaffOrder>(`/orders/${encodeURIComponent(id)}`),
  fulfil: (id: string) => post<StaffOrder>(`/orders/${id}/fulfil`, {}),
  refund: (id: string, refund: { id: string; amount_minor: number; reason: string; restock: boolean }) =>
    post<StaffOrder>(`/orders/${id}/refund`, refund),
  owedPaid: (id: string, how: string) => post<StaffOrder>(`/orders/${id}/owed-paid`, { how }),
  refundRuns: (query: { show_id: string; product_id?: string | null }) => get<RefundRuns>(withQuery('/refund-runs', query)),
  refundMany: (wish: { id: string; show_id: string; product_id: string | null; cancel_show: boolean; reason: string; sent_too: boolean; restock: boolean }) =>
    post<RefundRun>('/refund-runs', wish),

  members: () => get<{ members: Member[] }>('/members'),
  removeMember: (user: string, role: string) => del<void>(`/members/${user}/${role}`),
  invitations: () => get<{ invitations: Invitation[] }>('/invitations'),
  invite: (email: string, role: string) => post<Invitation>('/invitations', { email, role }),
  withdraw: (id: string) => del<void>(`/invitations/${id}`),
  shop: () => get<ShopSettings>('/shop'),
  changeShop: (change: Over<ShopSettings>) => patch<ShopSettings>('/shop', change),
  audit: (cursor?: string | null) => get<Page<'entries', AuditEntry>>(withQuery('/audit', { cursor })),
};

export const may = {
  editShows: () => hasRole('owner', 'producer'),
  runShows: () => hasRole('owner', 'producer', 'host'),
  seeCatalogue: () => hasRole('owner', 'producer', 'host'),
  editCatalogue: () => hasRole('owner', 'producer'),
  refund: () => hasRole('owner', 'producer'),
  seeOrders: () => hasRole('owner', 'producer'),
  seePeople: () => hasRole('owner', 'producer'),
  managePeople: () => hasRole('owner'),
  editShop: () => hasRole('owner'),
  seeActivity: () => hasRole('owner'),
};
