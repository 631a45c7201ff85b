import { money, timeOfDay } from '../../core/format.ts';
import type { Variant } from '../../core/types.ts';
import { Field } from '../../ui/field.tsx';
import { currency } from '../../ui/session.ts';
import type { Faults, VariantText } from './variant-values.ts';

/** A variant's fields in one row where there is room. `plain`: the only variant needs no name. */
export function VariantFields(props: { text: VariantText; faults: Faults; onText: (text: VariantText) => void; plain?: boolean; disabled?: boolean; flash?: Variant['flash'] }) {
  const { text, faults, onText, plain, disabled = false, flash } = props;
  const field = (name: keyof VariantText, label: string, more: { inputmode?: 'decimal' | 'numeric'; prefix?: string; optional?: boolean; hint?: string; maxLength?: number; disabled?: boolean } = {}) => (
    <Field
      label={label}
      name={name}
      value={text[name]}
      onValue={(value) => onText({ ...text, [name]: value })}
      problem={faults[name] ?? null}
      disabled={disabled}
      testid={`variant-${name}`}
      {...more}
    />
  );
  return (
    <div class="variant-fields">
      {!plain && field('title', 'Name', { maxLength: 200 })}
      {field('price', 'Price', { inputmode: 'decimal', prefix: currency.value, ...(flash && { hint: `Flash: ${money(flash.price_minor, currency.value)} until ${timeOfDay(flash.ends_ms)}.` }) })}
      {field('compareAt', 'Was', { inputmode: 'decimal', prefix: currency.value, optional: true, ...(flash && { disabled: true, hint: 'Once the flash price is over.' }) })}
      {field('stock', 'In stock', { inputmode: 'numeric' })}
      {field('limit', 'Per buyer', { inputmode: 'numeric', optional: true })}
      {field('sku', 'SKU', { optional: true, maxLength: 200 })}
    </div>
  );
}
