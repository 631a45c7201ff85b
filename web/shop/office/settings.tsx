import { money, moneyInput, parseMoney } from '../../core/format.ts';
import { Problem } from '../../core/problem.ts';
import { Button } from '../../ui/button.tsx';
import { Field, Select } from '../../ui/field.tsx';
import { countriesWith } from '../../ui/forms/address.tsx';
import { config } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { changeOf, faultIn, looseIn, sendOver, useDraft, useFreshOnReturn } from './draft.ts';
import { Panel } from './parts.tsx';
import { basisPoints, percent } from './percent.ts';
import { staff, type ShopSettings } from './staff.ts';

export function Settings() {
  const { value, problem, reload, set } = useLoaded(() => staff.shop());
  useFreshOnReturn(reload);
  if (problem && !value) return <Failed error={problem} retry={reload} />;
  return (
    <>
      <PageHead title="Settings" />
      {value ? <SettingsForm shop={value} onSaved={set} reload={reload} /> : <Skeleton height="16rem" />}
    </>
  );
}

const textOf = (shop: ShopSettings) => ({
  name: shop.name,
  contact: shop.contact_email,
  country: shop.country,
  currency: shop.currency,
  tax: percent(shop.tax_rate_bp),
  shipping: moneyInput(shop.flat_shipping_minor, shop.currency),
});

function SettingsForm({ shop, onSaved, reload }: { shop: ShopSettings; onSaved: (shop: ShopSettings) => void; reload: () => void }) {
  const { text, setText, settle, faultOf } = useDraft(textOf(shop));
  const { name, contact, country, currency, tax, shipping } = text;
  const set = (field: keyof typeof text) => (value: string) => setText({ ...text, [field]: value });
  const { busy, problem, run } = useDoing();
  const fault = (field: keyof typeof text, sent: string = field) => faultOf(field, faultIn(problem, sent));
  const submit = async (event: Event) => {
    event.preventDefault();
    const saved = await run(async () => {
      const change = { name: name.trim(), contact_email: contact.trim(), country, currency, tax_rate_bp: basisPoints(tax), flat_shipping_minor: parseMoney(shipping, shop.currency) };
      const fields: Record<string, string> = {};
      if (!change.name) fields['name'] = 'Give the shop a name.';
      if (change.tax_rate_bp === null) fields['tax_rate_bp'] = 'A rate from 0 to 100, like 19 or 7.7.';
      if (change.flat_shipping_minor === null) fields['flat_shipping_minor'] = 'An amount, like 4.90, or 0.';
      if (Object.keys(fields).length) throw new Problem({ code: 'invalid_body', fields });
      const now = await sendOver(() => staff.changeShop(changeOf({ ...shop, ...change } as ShopSettings, shop)), reload);
      settle(textOf(now));
      onSaved(now);
      if (config.value) config.value = { ...config.value, shop: { ...config.value.shop, ...now } };
    });
    if (saved) toast('Saved.', 'ok');
  };
  return (
    <form class="stack narrow" onSubmit={submit} noValidate data-testid="settings-form">
      <ProblemNote problem={looseIn(problem)} />
      <Panel title="The shop">
        <div class="form">
          <Field label="Name" name="name" value={name} onValue={set('name')} maxLength={200} problem={fault('name')} testid="shop-name" />
          <Field label="E-mail for buyers" name="contact_email" type="email" value={contact} onValue={set('contact')} hint="Where answers to order mails go." problem={fault('contact', 'contact_email')} />
          <div class="pair">
            <Select label="Country" name="country" value={country} onValue={set('country')} options={countriesWith(country)} problem={fault('country')} testid="shop-country" />
            <Select label="Currency" name="currency" value={currency} onValue={set('currency')} options={currenciesWith(shop.currencies, currency)} hint={currencyHint(shop.currency, currency)} problem={fault('currency')} testid="shop-currency" />
          </div>
        </div>
      </Panel>
      <Panel title="Tax and delivery" lead="Prices are shown with tax. A change is for new orders; placed ones keep theirs.">
        <div class="form">
          <div class="pair">
            <Field label="Tax, in %" name="tax" inputmode="decimal" value={tax} onValue={set('tax')} problem={fault('tax', 'tax_rate_bp')} testid="shop-tax" />
            <Field label="Delivery, an order" name="shipping" inputmode="decimal" prefix={shop.currency} value={shipping} onValue={set('shipping')} problem={fault('shipping', 'flat_shipping_minor')} testid="shop-shipping" />
          </div>
        </div>
      </Panel>
      <div class="row">
        <Button type="submit" kind="primary" size="l" busy={busy} testid="save-settings">
          Save
        </Button>
      </div>
    </form>
  );
}

function currencyHint(before: string, chosen: string): string {
  if (before === chosen) return 'Fixed once there are orders.';
  return `Prices keep their figures: ${money(1990, before)} becomes ${money(1990, chosen)}. Go through them before you sell.`;
}

function currenciesWith(codes: readonly string[], chosen: string): { value: string; label: string }[] {
  const names = new Intl.DisplayNames(undefined, { type: 'currency' });
  return [...new Set([...codes, chosen])].sort().map((value) => ({ value, label: `${value}: ${names.of(value)}` }));
}
