import { useState } from 'preact/hooks';
import { Problem } from '../../core/problem.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { Note, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Lost } from '../lost.tsx';
import { ProductState } from './catalogue.tsx';
import { differing } from './differing.ts';
import { Back, Panel } from './parts.tsx';
import { Images } from './product-images.tsx';
import { ProductTextFields } from './product-text.tsx';
import { Variants } from './product-variants.tsx';
import { may, staff, type ProductText, type WholeProduct } from './staff.ts';

export function ProductDetail({ id }: { id: string }) {
  const { value: product, problem, reload } = useLoaded(() => staff.product(id), id);
  if (problem && !product) return problem.status === 404 ? <Nothing /> : <Failed error={problem} retry={reload} />;
  if (!product) return <Skeleton height="8rem" lines={3} />;
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

function Text({ product, onSaved }: { product: WholeProduct; onSaved: () => void }) {
  const { title, handle, description, vendor, tags, state } = product;
  const saved: ProductText = { title, handle, description, vendor, tags, state };
  const [text, setText] = useState(saved);
  const { busy, problem, run } = useDoing();
  const loose = problem && problem.code !== 'handle_taken' && !Object.keys(problem.fields).length ? problem : null;
  const submit = async (event: Event) => {
    event.preventDefault();
    const done = await run(async () => {
      if (!text.title.trim()) throw new Problem({ code: 'invalid_body', fields: { title: 'Give it a title.' } });
      await staff.changeProduct(product.id, differing(text, saved));
    });
    if (!done) return;
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

function Nothing() {
  return (
    <Lost icon="tag" title="There is no such product" action={<LinkButton href="/office/catalogue">Catalogue</LinkButton>}>
      The address may be mistyped.
    </Lost>
  );
}
