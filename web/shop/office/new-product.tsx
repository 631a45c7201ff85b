import { useState } from 'preact/hooks';
import { Problem } from '../../core/problem.ts';
import { Button } from '../../ui/button.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { ProblemNote } from '../../ui/status.tsx';
import { toFault, useDoing } from '../loaded.ts';
import { Back, Panel } from './parts.tsx';
import { NEW_TEXT, ProductTextFields, textFault } from './product-text.tsx';
import { staff } from './staff.ts';
import { VariantFields } from './variant-form.tsx';
import { BLANK, valuesOf, type Faults } from './variant-values.ts';

/** A product with its first variant; images and more variants follow on its page. */
export function NewProductPage() {
  const [text, setText] = useState(NEW_TEXT);
  const [variant, setVariant] = useState(BLANK);
  const [faults, setFaults] = useState<Faults>({});
  const { busy, problem, run } = useDoing();
  const submit = (event: Event) => {
    event.preventDefault();
    const checked = valuesOf(variant, currency.value);
    setFaults('faults' in checked ? checked.faults : {});
    void run(async () => {
      if (!text.title.trim()) throw new Problem({ code: 'invalid_body', fields: { title: 'Give it a title.' } });
      if ('faults' in checked) return toFault();
      const made = await staff.addProduct({ ...text, variants: [checked.values] });
      location.assign(`/office/catalogue/${made.id}`);
    });
  };
  return (
    <>
      <Back href="/office/catalogue">Catalogue</Back>
      <PageHead title="New product" />
      <form class="stack" onSubmit={submit} noValidate data-testid="new-product">
        <ProblemNote problem={problem && !Object.keys(problem.fields).length ? problem : null} />
        <Panel title="Text">
          <div class="form">
            <ProductTextFields text={text} faultOf={(name) => textFault(problem, name)} onText={setText} />
          </div>
        </Panel>
        <Panel title="Price and stock" lead="Sizes or colours? Name this one after the first, and add the others on the next page.">
          <VariantFields text={variant} faults={faults} onText={setVariant} />
        </Panel>
        <div class="row">
          <Button type="submit" kind="primary" size="l" busy={busy} testid="save-product">
            Add the product
          </Button>
        </div>
      </form>
    </>
  );
}
