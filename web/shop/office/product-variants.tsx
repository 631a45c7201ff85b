import { useState } from 'preact/hooks';
import { money } from '../../core/format.ts';
import type { Variant } from '../../core/types.ts';
import { Button } from '../../ui/button.tsx';
import { Icon } from '../../ui/icons.tsx';
import { currency } from '../../ui/session.ts';
import { ProblemNote, toast } from '../../ui/status.tsx';
import { toFault, useDoing } from '../loaded.ts';
import { changeOf, sendOver, useDraft } from './draft.ts';
import { Asking, Panel } from './parts.tsx';
import { may, staff, type WholeProduct } from './staff.ts';
import { VariantFields } from './variant-form.tsx';
import { BLANK, changedIn, savedOf, textOf, valuesOf, type Faults } from './variant-values.ts';

/** What can be bought, at which price; what was taken off sale, to be put back. */
export function Variants({ product, onChanged, onVariant }: { product: WholeProduct; onChanged: () => void; onVariant: (variant: Variant) => void }) {
  const [adding, setAdding] = useState(false);
  const plain = product.variants.length === 1 && !product.variants[0]!.title;
  return (
    <Panel
      title="Prices and stock"
      lead="A new price or stock reaches running shows at once. Stock is what can be bought now; units in open orders are not in it."
      actions={
        may.editCatalogue() &&
        !adding && (
          <Button icon="plus" onClick={() => setAdding(true)} testid="add-variant">
            Add a variant
          </Button>
        )
      }
      testid="variants"
    >
      <ul class="list">
        {product.variants.map((variant) => (
          <li key={variant.id}>
            <EditVariant variant={variant} plain={plain && !adding} onChanged={onChanged} onVariant={onVariant} last={product.variants.length === 1} />
          </li>
        ))}
        {adding && (
          <li>
            <AddVariant
              product={product}
              onDone={(added) => {
                setAdding(false);
                if (added) onChanged();
              }}
            />
          </li>
        )}
      </ul>
      {product.archived.length > 0 && <OffSale variants={product.archived} onChanged={onChanged} />}
    </Panel>
  );
}

function OffSale({ variants, onChanged }: { variants: Variant[]; onChanged: () => void }) {
  const { busy, problem, run } = useDoing();
  const putBack = ({ id, title }: Variant) =>
    run(async () => {
      await staff.changeVariant(id, { state: 'active' });
      toast(`${title || 'The variant'} is on sale again.`, 'ok');
      onChanged();
    });
  return (
    <details class="off-sale" data-testid="off-sale">
      <summary>
        <span class="grow">Taken off sale</span> <span class="muted tabular">{variants.length}</span>
        <Icon name="chevron_down" size={16} />
      </summary>
      <ProblemNote problem={problem} />
      <ul class="list">
        {variants.map((variant) => (
          <li key={variant.id} class="row spread" data-testid="archived-variant">
            <span class="stacked">
              <b>{variant.title || 'Without a name'}</b>
              <span class="muted small tabular">
                {money(variant.price_minor, currency.value)}, {variant.available} in stock
              </span>
            </span>
            {may.editCatalogue() && (
              <Button size="s" disabled={busy} onClick={() => void putBack(variant)} testid="restore-variant">
                Put back on sale<span class="visually-hidden"> {variant.title}</span>
              </Button>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}

function EditVariant(props: { variant: Variant; plain: boolean; last: boolean; onChanged: () => void; onVariant: (variant: Variant) => void }) {
  const { variant, plain, last, onChanged, onVariant } = props;
  const before = textOf(variant, currency.value);
  const { text, setText, dirty, settle, faultOf } = useDraft(before);
  const [faults, setFaults] = useState<Faults>({});
  const { busy, problem, run } = useDoing();
  const shown = Object.fromEntries((Object.keys(text) as (keyof Faults)[]).map((name) => [name, faultOf(name, faults[name])])) as Faults;
  const submit = async (event: Event) => {
    event.preventDefault();
    const checked = valuesOf(text, currency.value);
    if ('faults' in checked) {
      setFaults(checked.faults);
      return toFault();
    }
    setFaults({});
    const done = await run(async () => {
      // Only what was changed here is sent: sales, and others' prices, go on meanwhile.
      const saved = savedOf(variant);
      const { available, ...rest } = changedIn(text, before, checked.values);
      const change = changeOf({ ...saved, ...rest }, saved);
      let now = variant;
      if (change.was) now = await sendOver(() => staff.changeVariant(variant.id, change), onChanged);
      if (available !== undefined) now = await sendOver(() => staff.setStock(variant.id, available, saved.available), onChanged);
      settle(textOf(now, currency.value));
      onVariant(now);
    });
    if (done) toast('Saved.', 'ok');
  };
  return (
    <form class="variant" onSubmit={submit} noValidate data-testid="variant">
      <VariantFields text={text} faults={shown} onText={setText} plain={plain} disabled={!may.editCatalogue()} flash={variant.flash ?? null} />
      <ProblemNote problem={problem} />
      {may.editCatalogue() && (
        <div class="row">
          <Button type="submit" size="s" kind={dirty ? 'primary' : 'secondary'} busy={busy} disabled={!dirty} testid="save-variant">
            Save<span class="visually-hidden"> {variant.title}</span>
          </Button>
          {!last && (
            <Asking
              label={
                <>
                  Remove<span class="visually-hidden"> {variant.title}</span>
                </>
              }
              title={`Remove ${variant.title || 'this variant'}?`}
              confirm="Remove"
              kind="danger"
              size="s"
              work={async () => {
                await staff.changeVariant(variant.id, { state: 'archived' });
                onChanged();
              }}
            >
              It can’t be bought any more. Orders that hold it keep it, and you can put it back.
            </Asking>
          )}
        </div>
      )}
    </form>
  );
}

function AddVariant({ product, onDone }: { product: WholeProduct; onDone: (added: boolean) => void }) {
  const [text, setText] = useState(BLANK);
  const [faults, setFaults] = useState<Faults>({});
  const { busy, problem, run } = useDoing();
  const submit = async (event: Event) => {
    event.preventDefault();
    const checked = valuesOf(text, currency.value);
    const found = 'faults' in checked ? checked.faults : {};
    if (!text.title.trim() && product.variants.length) found.title = 'A name, such as a size.';
    setFaults(found);
    if ('faults' in checked || found.title) return toFault();
    if (await run(() => staff.addVariant(product.id, checked.values))) onDone(true);
  };
  return (
    <form class="variant" onSubmit={submit} noValidate>
      <VariantFields text={text} faults={faults} onText={setText} />
      <ProblemNote problem={problem} />
      <div class="row">
        <Button type="submit" size="s" kind="primary" busy={busy} testid="save-new-variant">
          Add
        </Button>
        <Button size="s" onClick={() => onDone(false)}>
          Don’t add
        </Button>
      </div>
    </form>
  );
}
