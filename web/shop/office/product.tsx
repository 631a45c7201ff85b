import { Problem } from '../../core/problem.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { Note, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Lost } from '../lost.tsx';
import { ProductState } from './catalogue.tsx';
import { changeOf, looseIn, overtakenWords, sendOver, useDraft, useFreshOnReturn } from './draft.ts';
import { Back, Panel } from './parts.tsx';
import { Images } from './product-images.tsx';
import { ProductTextFields, STATES, textFault } from './product-text.tsx';
import { Variants } from './product-variants.tsx';
import { may, staff, type ProductText, type WholeProduct } from './staff.ts';

export function ProductDetail({ id }: { id: string }) {
  const { value: product, problem, reload, set } = useLoaded(() => staff.product(id), id);
  useFreshOnReturn(reload);
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
        <Text product={product} onSaved={set} reload={reload} />
        <Images product={product} onChanged={reload} />
        <Variants product={product} onChanged={reload} onVariant={(now) => set({ ...product, variants: product.variants.map((one) => (one.id === now.id ? now : one)) })} />
      </div>
    </>
  );
}

const textOf = ({ title, handle, description, vendor, tags, state }: WholeProduct): ProductText => ({ title, handle, description, vendor, tags, state });

function Text({ product, onSaved, reload }: { product: WholeProduct; onSaved: (product: WholeProduct) => void; reload: () => void }) {
  const saved = textOf(product);
  const { text, setText, settle, faultOf } = useDraft(saved);
  const { busy, problem, run } = useDoing();
  const faultAt = (name: keyof ProductText) => faultOf(name, textFault(problem, name), (value) => overtakenWords(name === 'state' ? STATES[value as keyof typeof STATES] : value));
  const submit = async (event: Event) => {
    event.preventDefault();
    const done = await run(async () => {
      if (!text.title.trim()) throw new Problem({ code: 'invalid_body', fields: { title: 'Give it a title.' } });
      const now = await sendOver(() => staff.changeProduct(product.id, changeOf(text, saved)), reload);
      settle(textOf(now));
      onSaved(now);
    });
    if (done) toast('Saved.', 'ok');
  };
  return (
    <Panel title="Text">
      <form class="form" onSubmit={submit} noValidate>
        <ProblemNote problem={looseIn(problem)} />
        <ProductTextFields text={text} faultOf={faultAt} onText={setText} disabled={!may.editCatalogue()} />
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
