import { useState } from 'preact/hooks';
import { asProblem, type Problem } from '../../core/problem.ts';
import type { Variant } from '../../core/types.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Picture } from '../../ui/picture.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { Note, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Lost } from '../lost.tsx';
import { ProductState } from './catalogue.tsx';
import { Asking, Back, FilePick, Panel } from './parts.tsx';
import { ProductTextFields } from './product-text.tsx';
import { may, staff, type ProductText, type StaffProduct } from './staff.ts';
import { VariantFields } from './variant-form.tsx';
import { BLANK, textOf, valuesOf, type Faults } from './variant-values.ts';

export function ProductDetail({ id }: { id: string }) {
  const { value, problem, reload } = useLoaded(async () => ({ product: await staff.product(id) }), id);
  if (problem && !value) return problem.status === 422 ? <Nothing /> : <Failed error={problem} retry={reload} />;
  if (!value) return <Skeleton height="8rem" lines={3} />;
  const { product } = value;
  if (!product) return <Nothing />;
  return (
    <>
      <Back href="/office/catalogue">Catalogue</Back>
      <PageHead
        title={product.title}
        lead={<ProductState state={product.state} />}
        actions={
          product.state === 'active' && (
            <LinkButton href={`/products/${product.handle}`} icon="external" external>
              See it in the shop
            </LinkButton>
          )
        }
      />
      <div class="stack">
        {product.variants.length === 0 && (
          <Note tone="warn" title="It can’t be bought yet">
            Add a variant with a price.
          </Note>
        )}
        <Text product={product} onSaved={reload} />
        <Images product={product} onChanged={reload} />
        <Variants product={product} onChanged={reload} />
      </div>
    </>
  );
}

function Text({ product, onSaved }: { product: StaffProduct; onSaved: () => void }) {
  const { title, handle, description, vendor, tags, state } = product;
  const [text, setText] = useState<ProductText>({ title, handle, description, vendor, tags, state });
  const { busy, problem, run } = useDoing();
  const loose = problem && problem.code !== 'handle_taken' && !Object.keys(problem.fields).length ? problem : null;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!(await run(() => staff.changeProduct(product.id, text)))) return;
    toast('Saved.', 'ok');
    onSaved();
  };
  return (
    <Panel title="Text">
      <form class="form" onSubmit={submit} noValidate>
        <ProblemNote problem={loose} />
        <ProductTextFields text={text} problem={problem} onText={setText} disabled={!may.editCatalogue()} />
        {may.editCatalogue() && (
          <div class="row">
            <Button type="submit" kind="primary" busy={busy} testid="save-text">
              Save
            </Button>
          </div>
        )}
      </form>
    </Panel>
  );
}

const MOST_IMAGE_BYTES = 15_000_000;

function Images({ product, onChanged }: { product: StaffProduct; onChanged: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<{ name: string; problem: Problem }[]>([]);
  const upload = async (files: File[]) => {
    setBusy(true);
    const failed: { name: string; problem: Problem }[] = [];
    for (const file of files) {
      try {
        if (file.size > MOST_IMAGE_BYTES) throw new Error('It is larger than 15 MB.');
        await staff.addImage(product.id, file, product.title);
      } catch (error) {
        failed.push({ name: file.name, problem: asProblem(error) });
      }
    }
    setProblems(failed);
    setBusy(false);
    if (failed.length < files.length) onChanged();
  };
  return (
    <Panel
      title="Pictures"
      lead="JPEG, PNG, WebP or AVIF. The first one stands for the product."
      actions={may.editCatalogue() && <FilePick label="Add pictures" accept="image/jpeg,image/png,image/webp,image/avif,image/gif" multiple busy={busy} onFiles={(files) => void upload(files)} testid="add-images" />}
      testid="images"
    >
      <div role="status">
        {problems.map(({ name, problem }) => (
          <Note key={name} tone="danger" title={`${name} was not added`} testid="image-problem">
            {problem.message} {problem.code === 'unexpected' ? 'Choose a smaller one.' : problem.whatToDo}
          </Note>
        ))}
      </div>
      {product.images.length === 0 && <p class="muted small">No picture yet: the shop shows a quiet stand-in.</p>}
      <ul class="image-grid">
        {product.images.map((image, index) => (
          <li key={image.id}>
            <Picture url={image.url} alt={image.alt || `Picture ${index + 1}`} width={320} />
            {may.editCatalogue() && (
              <Asking
                label={
                  <>
                    Remove<span class="visually-hidden"> picture {index + 1}</span>
                  </>
                }
                title="Remove this picture?"
                confirm="Remove"
                kind="danger"
                size="s"
                work={async () => {
                  await staff.removeImage(product.id, image.id);
                  onChanged();
                }}
              >
                It disappears from the shop and from shows.
              </Asking>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Variants({ product, onChanged }: { product: StaffProduct; onChanged: () => void }) {
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
            <EditVariant variant={variant} plain={plain && !adding} onChanged={onChanged} last={product.variants.length === 1} />
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
    </Panel>
  );
}

function EditVariant(props: { variant: Variant; plain: boolean; last: boolean; onChanged: () => void }) {
  const { variant, plain, last, onChanged } = props;
  const [saved, setSaved] = useState(variant);
  const [text, setText] = useState(() => textOf(variant, currency.value));
  const [faults, setFaults] = useState<Faults>({});
  const { busy, problem, run } = useDoing();
  const before = textOf(saved, currency.value);
  const dirty = (Object.keys(before) as (keyof typeof before)[]).some((name) => before[name] !== text[name]);
  const submit = async (event: Event) => {
    event.preventDefault();
    const checked = valuesOf(text, currency.value);
    if ('faults' in checked) return setFaults(checked.faults);
    setFaults({});
    const { available, ...rest } = checked.values;
    const done = await run(async () => {
      let now = await staff.changeVariant(variant.id, rest);
      // Only a stock that was really changed here is set: sales go on meanwhile.
      if (text.stock !== before.stock) now = await staff.setStock(variant.id, available);
      setSaved(now);
      setText(textOf(now, currency.value));
    });
    if (done) toast('Saved.', 'ok');
  };
  return (
    <form class="variant" onSubmit={submit} noValidate data-testid="variant">
      <VariantFields text={text} faults={faults} onText={setText} plain={plain} disabled={!may.editCatalogue()} />
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
              It can’t be bought any more. Orders that hold it keep it.
            </Asking>
          )}
        </div>
      )}
    </form>
  );
}

function AddVariant({ product, onDone }: { product: StaffProduct; onDone: (added: boolean) => void }) {
  const [text, setText] = useState(BLANK);
  const [faults, setFaults] = useState<Faults>({});
  const { busy, problem, run } = useDoing();
  const submit = async (event: Event) => {
    event.preventDefault();
    const checked = valuesOf(text, currency.value);
    const found = 'faults' in checked ? checked.faults : {};
    if (!text.title.trim() && product.variants.length) found.title = 'A name, such as a size.';
    setFaults(found);
    if ('faults' in checked || found.title) return;
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

function Nothing() {
  return (
    <Lost icon="tag" title="There is no such product" action={<LinkButton href="/office/catalogue">Catalogue</LinkButton>}>
      The address may be mistyped.
    </Lost>
  );
}
