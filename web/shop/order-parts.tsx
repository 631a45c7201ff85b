/** What an order is made of, for its buyer and for the back office. */

import { cardBrand, dateTime, money } from '../core/format.ts';
import type { AddressFields, Order } from '../core/types.ts';
import { countryName } from '../ui/forms/address.tsx';
import { Picture } from '../ui/picture.tsx';
import { detailOf, happened } from './order-words.ts';

export function OrderLines({ order }: { order: Order }) {
  return (
    <ul class="order-lines" data-testid="order-lines">
      {order.lines.map((line) => (
        <li key={line.variant_id}>
          <span class="order-image">
            <Picture url={line.image_url} alt="" width={96} />
          </span>
          <span class="grow">
            <b>{line.title}</b>
            {line.variant_title && <span class="muted small">{line.variant_title}</span>}
            <span class="muted small tabular">
              {line.quantity} × {money(line.unit_price_minor, order.currency)}
            </span>
          </span>
          <b class="tabular">{money(line.quantity * line.unit_price_minor, order.currency)}</b>
        </li>
      ))}
    </ul>
  );
}

export function OrderTotals({ order }: { order: Order }) {
  return (
    <dl class="totals tabular">
      <dt>Products</dt>
      <dd>{money(order.subtotal_minor, order.currency)}</dd>
      <dt>Delivery</dt>
      <dd>{order.shipping_minor ? money(order.shipping_minor, order.currency) : 'Free'}</dd>
      <dt class="total">Total</dt>
      <dd class="total" data-testid="total">
        {money(order.total_minor, order.currency)}
      </dd>
      {/* The amount alone: the shop's rate of today is not the order's. */}
      <dt>Tax included</dt>
      <dd>{money(order.tax_minor, order.currency)}</dd>
      {order.refunded_minor > 0 && (
        <>
          <dt>Refunded</dt>
          <dd data-testid="refunded">−{money(order.refunded_minor, order.currency)}</dd>
        </>
      )}
      {order.repaid_minor > 0 && (
        <>
          <dt>Paid back in another way</dt>
          <dd>−{money(order.repaid_minor, order.currency)}</dd>
        </>
      )}
    </dl>
  );
}

export function OrderHistory({ order }: { order: Order }) {
  return (
    <ol class="history">
      {order.history.map((entry, index) => (
        <li key={index}>
          <span>
            <b>{happened(entry.kind)}</b>
            {entry.detail && <span class="muted small">{detailOf(entry.detail, order.currency)}</span>}
          </span>
          <time class="muted small" dateTime={entry.at}>
            {dateTime(entry.at)}
          </time>
        </li>
      ))}
    </ol>
  );
}

export function AddressBlock({ address }: { address: AddressFields | null }) {
  if (!address?.line1) return <p class="muted small">No address.</p>;
  const city = [address.postal_code, address.city].filter(Boolean).join(' ');
  const lines = [address.name, address.line1, address.line2, city, address.region, countryName(address.country), address.phone];
  return (
    <address class="address">
      {lines.filter(Boolean).map((line, index) => (
        <span key={index}>{line}</span>
      ))}
    </address>
  );
}

export const cardWords = (card: { brand: string; last4: string }): string => `${cardBrand(card.brand)} ·· ${card.last4}`;
