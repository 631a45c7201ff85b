/** What the HTTP API says, as TypeScript. Ids are uuid strings, times ISO 8601 UTC, money minor units with tax. */

import type { AuctionView, BidView, DropState, FlashView, PlaceView, StandingView } from './protocol.ts';

export interface Config {
  shop: {
    id: string;
    name: string;
    slug: string;
    currency: string;
    country: string;
    tax_rate_bp: number;
    flat_shipping_minor: number;
  };
  payments: { provider: 'demo' | 'stripe'; publishable_key: string; api_url?: string | null };
  overlay_url: string;
  demo: boolean;
  ice_servers: RTCIceServer[];
}

export interface Me {
  id: string;
  email: string;
  display_name: string;
  email_verified: boolean;
  show_first_name: boolean;
  roles: string[];
}

export interface SessionRow {
  id: string;
  user_agent: string;
  created_at: string;
  seen_at: string;
  current: boolean;
}

export interface AddressFields {
  name: string;
  line1: string;
  line2?: string | null;
  city: string;
  region?: string | null;
  postal_code: string;
  country: string;
  phone?: string | null;
}

export interface Address extends AddressFields {
  id: string;
  is_default: boolean;
}

export interface Card {
  id: string;
  brand: string;
  last4: string;
  exp_month: number;
  exp_year: number;
  is_default: boolean;
}

export interface CardSetup {
  setup_intent: string;
  client_secret: string;
  publishable_key: string;
}

export interface Variant {
  id: string;
  title: string;
  sku?: string | null;
  price_minor: number;
  compare_at_minor?: number | null;
  buyer_limit: number;
  available: number;
  /** While it lasts, `price_minor` is its price. */
  flash?: Omit<FlashView, 'variant_id'> | null;
  drop?: { drop_id: string; state: DropState; opens_ms: number; units: number; waiting?: number; show_id?: string | null } | null;
}

export interface ProductImage {
  id: string;
  url: string;
  alt: string;
  width: number;
  height: number;
}

export interface Product {
  id: string;
  handle: string;
  title: string;
  description: string;
  state: string;
  images: ProductImage[];
  variants: Variant[];
}

export type ShowStateName = 'scheduled' | 'live' | 'ended';

export interface ShowCard {
  id: string;
  title: string;
  description: string;
  state: ShowStateName;
  visibility: string;
  starts_at: string;
  started_at: string | null;
  ended_at: string | null;
  /** Called off: what was paid in it is given back. */
  cancelled_at: string | null;
  cover_url?: string | null;
  host_name?: string | null;
  viewers: number;
  picture: 'live' | 'away' | 'idle' | null;
}

export interface ShowItem {
  position: number;
  product: Product;
  state: 'upcoming' | 'pinned' | 'shown';
}

export interface Show extends ShowCard {
  playback_id: string;
  whep_url: string;
  items: ShowItem[];
  can: { host: boolean; produce: boolean; moderate: boolean };
}

export type OrderState = 'charging' | 'action_needed' | 'paid' | 'declined' | 'cancelled' | 'fulfilled' | 'refunded';

export interface OrderLine {
  variant_id: string;
  title: string;
  variant_title: string;
  quantity: number;
  unit_price_minor: number;
  image_url?: string | null;
}

export interface Order {
  id: string;
  number: string | number;
  state: OrderState;
  show_id: string | null;
  currency: string;
  subtotal_minor: number;
  shipping_minor: number;
  tax_minor: number;
  total_minor: number;
  refunded_minor: number;
  owed_minor: number;
  /** Paid back in another way than to the card. */
  repaid_minor: number;
  lines: OrderLine[];
  address: AddressFields | null;
  card?: { brand: string; last4: string } | null;
  failure_code?: string | null;
  auction_id?: string | null;
  failure_message?: string | null;
  client_secret?: string | null;
  created_at: string;
  settled_at?: string | null;
  fulfilled_at?: string | null;
  history: { kind: string; at: string; detail: string }[];
}

export interface BuyRequest {
  id: string;
  show_id?: string | null;
  lines: { variant_id: string; quantity: number; unit_price_minor: number }[];
  card_id?: string | null;
  address_id?: string | null;
  show_first_name: boolean;
  /** A waitlist's offer. */
  offer_id?: string | null;
}

/** A place on a waitlist, with what is waited for. */
export interface WaitlistRow extends PlaceView {
  product?: { handle: string; title: string; image_url?: string | null } | null;
  variant_title?: string | null;
  show_id?: string | null;
}

/** An auction somebody bid in, and how they stand there. */
export interface BidderRow {
  standing: StandingView;
  auction: AuctionView;
  show_id: string;
}

export interface BidBook {
  auction: AuctionView;
  show_id: string;
  /** Oldest first; `next` leads to older lines. */
  bids: BidView[];
  next: number | null;
}
