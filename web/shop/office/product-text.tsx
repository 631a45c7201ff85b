import { useState } from 'preact/hooks';
import { Field, Select } from '../../ui/field.tsx';
import type { Problem } from '../../core/problem.ts';
import { faultIn, somebodyWasFaster } from './draft.ts';
import type { ProductText } from './staff.ts';

/** "tea, for two,, tea" → tea; for two. */
export const tagsOf = (typed: string): string[] => [...new Set(typed.split(',').map((tag) => tag.trim()).filter(Boolean))];

export const NEW_TEXT: ProductText = { title: '', description: '', vendor: '', tags: [], state: 'active' };

export const STATES = { active: 'For sale', draft: 'Draft: not shown yet', archived: 'Archived: not shown any more' };

/** What the shop says is wrong with a field, in words for it. */
export function textFault(problem: Problem | null, name: keyof ProductText): string | null {
  if (somebodyWasFaster(problem)) return faultIn(problem, name);
  if (problem?.code === 'handle_taken' && name === 'handle') return 'Another product has this address.';
  if (name === 'handle') return faultIn(problem, name) && 'Small letters, digits, - and _.';
  if (name === 'tags') return Object.keys(problem?.fields ?? {}).some((field) => field.startsWith('tags')) ? 'At most 50 tags of 60 letters each.' : null;
  return faultIn(problem, name);
}

/** What is said of a product, whatever its variants. */
export function ProductTextFields(props: { text: ProductText; faultOf: (name: keyof ProductText) => string | null; onText: (text: ProductText) => void; disabled?: boolean }) {
  const { text, faultOf, onText, disabled = false } = props;
  const change = (part: Partial<ProductText>) => onText({ ...text, ...part });
  const [typed, setTyped] = useState('');
  // As typed, commas and all, as long as it says what the tags are.
  const tags = tagsOf(typed).join() === text.tags.join() ? typed : text.tags.join(', ');
  return (
    <>
      <Field label="Title" name="title" value={text.title} onValue={(title) => change({ title })} maxLength={200} required disabled={disabled} problem={faultOf('title')} testid="product-title" />
      <Field label="Description" name="description" value={text.description} onValue={(description) => change({ description })} rows={5} optional disabled={disabled} problem={faultOf('description')} testid="product-description" />
      <div class="pair">
        <Select
          label="State"
          name="state"
          value={text.state}
          onValue={(state) => change({ state })}
          disabled={disabled}
          options={Object.entries(STATES).map(([value, label]) => ({ value, label }))}
          problem={faultOf('state')}
          testid="product-state"
        />
        <Field label="Vendor" name="vendor" value={text.vendor} onValue={(vendor) => change({ vendor })} maxLength={200} optional disabled={disabled} problem={faultOf('vendor')} />
      </div>
      <Field
        label="Tags"
        name="tags"
        value={tags}
        onValue={(words) => (setTyped(words), change({ tags: tagsOf(words) }))}
        optional
        disabled={disabled}
        hint="With commas between them. The search finds the product by them."
        problem={faultOf('tags')}
        testid="product-tags"
      />
      {text.handle !== undefined && (
        <Field
          label="Address"
          name="handle"
          value={text.handle}
          onValue={(handle) => change({ handle })}
          maxLength={200}
          disabled={disabled}
          hint="The last part of the product’s address. Links to the old one stop working."
          problem={faultOf('handle')}
        />
      )}
    </>
  );
}
