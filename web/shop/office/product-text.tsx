import { Field, Select } from '../../ui/field.tsx';
import type { Problem } from '../../core/problem.ts';
import type { ProductText } from './staff.ts';

export const NEW_TEXT: ProductText = { title: '', description: '', vendor: '', tags: [], state: 'active' };

/** What is said of a product, whatever its variants. */
export function ProductTextFields(props: { text: ProductText; problem: Problem | null; onText: (text: ProductText) => void; disabled?: boolean }) {
  const { text, problem, onText, disabled = false } = props;
  const change = (part: Partial<ProductText>) => onText({ ...text, ...part });
  return (
    <>
      <Field label="Title" name="title" value={text.title} onValue={(title) => change({ title })} maxLength={200} required disabled={disabled} problem={problem?.fields['title'] ?? null} testid="product-title" />
      <Field label="Description" name="description" value={text.description} onValue={(description) => change({ description })} rows={5} optional disabled={disabled} problem={problem?.fields['description'] ?? null} testid="product-description" />
      <div class="pair">
        <Select
          label="State"
          name="state"
          value={text.state}
          onValue={(state) => change({ state })}
          disabled={disabled}
          options={[
            { value: 'active', label: 'For sale' },
            { value: 'draft', label: 'Draft: not shown yet' },
            { value: 'archived', label: 'Archived: not shown any more' },
          ]}
          testid="product-state"
        />
        <Field label="Vendor" name="vendor" value={text.vendor} onValue={(vendor) => change({ vendor })} maxLength={200} optional disabled={disabled} />
      </div>
      {text.handle !== undefined && (
        <Field
          label="Address"
          name="handle"
          value={text.handle}
          onValue={(handle) => change({ handle })}
          maxLength={200}
          disabled={disabled}
          hint="The last part of the product’s address. Links to the old one stop working."
          problem={problem?.code === 'handle_taken' ? 'Another product has this address.' : problem?.fields['handle'] ? 'Small letters, digits, - and _.' : null}
        />
      )}
    </>
  );
}
