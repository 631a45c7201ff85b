import { Field } from '../../ui/field.tsx';
import { currency } from '../../ui/session.ts';
import type { Faults, VariantText } from './variant-values.ts';

/** A variant's fields in one row where there is room. `plain`: the only variant needs no name. */
export function VariantFields(props: { text: VariantText; faults: Faults; onText: (text: VariantText) => void; plain?: boolean; disabled?: boolean }) {
  const { text, faults, onText, plain, disabled = false } = props;
  const field = (name: keyof VariantText, label: string, more: { inputmode?: 'decimal' | 'numeric'; prefix?: string; optional?: boolean; hint?: string; maxLength?: number } = {}) => (
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
      {field('price', 'Price', { inputmode: 'decimal', prefix: currency.value })}
      {field('compareAt', 'Before', { inputmode: 'decimal', prefix: currency.value, optional: true })}
      {field('stock', 'In stock', { inputmode: 'numeric' })}
      {field('limit', 'Per buyer', { inputmode: 'numeric', optional: true })}
      {field('sku', 'SKU', { optional: true, maxLength: 200 })}
    </div>
  );
}
