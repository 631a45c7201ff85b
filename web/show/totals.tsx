import { money } from '../core/format.ts';
import { currency } from '../ui/session.ts';

export function Totals(props: { goods: number; shipping: number; total: number }) {
  return (
    <dl class="totals tabular">
      <dt>Products</dt>
      <dd>{money(props.goods, currency.value)}</dd>
      <dt>Delivery</dt>
      <dd>{props.shipping ? money(props.shipping, currency.value) : 'Free'}</dd>
      <dt class="total">Total, tax included</dt>
      <dd class="total" data-testid="total">
        {money(props.total, currency.value)}
      </dd>
    </dl>
  );
}
