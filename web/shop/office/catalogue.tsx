import { useState } from 'preact/hooks';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Price, Stock } from '../../ui/money.tsx';
import { Picture } from '../../ui/picture.tsx';
import { availableOf, priceOf } from '../../ui/product-card.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Empty, ProblemNote } from '../../ui/status.tsx';
import { Table } from '../../ui/table.tsx';
import { useDoing, useLoaded, useSettled } from '../loaded.ts';
import { Filters, SearchField } from './parts.tsx';
import { may, staff, type StaffProduct } from './staff.ts';

const STATES = [
  { value: '', label: 'All' },
  { value: 'active', label: 'For sale' },
  { value: 'draft', label: 'Drafts' },
  { value: 'archived', label: 'Archived' },
] as const;

type StateName = (typeof STATES)[number]['value'];

export function Catalogue() {
  const [state, setState] = useState<StateName>('');
  const [words, setWords] = useState('');
  const q = useSettled(words.trim());
  const { value, problem, reload, set } = useLoaded(() => staff.products({ state, q }), `${state} ${q}`);
  const more = useDoing();
  const loadMore = () =>
    more.run(async () => {
      const page = await staff.products({ state, q, cursor: value?.next ?? null });
      set({ products: [...(value?.products ?? []), ...page.products], next: page.next });
    });
  return (
    <>
      <PageHead
        title="Catalogue"
        actions={
          may.editCatalogue() && (
            <>
              <LinkButton href="/office/catalogue/import" icon="upload">
                Import
              </LinkButton>
              <LinkButton href="/office/catalogue/new" icon="plus" kind="primary" testid="add-product">
                Add a product
              </LinkButton>
            </>
          )
        }
      />
      <div class="stack">
        <div class="list-tools">
          <Filters label="State" value={state} options={STATES} onValue={setState} />
          <SearchField label="Search products" value={words} onValue={setWords} />
        </div>
        <ProblemNote problem={problem} retry={reload} />
        {!(problem && !value) && (
          <Table<StaffProduct>
            caption="Products"
            testid="products"
            rows={value?.products ?? null}
            rowKey={(product) => product.id}
            onOpen={(product) => location.assign(`/office/catalogue/${product.id}`)}
            empty={<NoProducts sought={q} state={state} />}
            columns={[
              { key: 'product', title: 'Product', cell: nameOf },
              { key: 'variants', title: 'Variants', align: 'end', wideOnly: true, cell: (product) => <span class="tabular">{product.variants.length}</span> },
              { key: 'stock', title: 'Stock', cell: (product) => <span class="stock-cell"><Stock available={availableOf(product)} always /></span> },
              { key: 'price', title: 'Price', align: 'end', cell: priceCell },
              { key: 'state', title: 'State', wideOnly: true, cell: (product) => <ProductState state={product.state} /> },
            ]}
          />
        )}
        <ProblemNote problem={more.problem} />
        {value?.next && (
          <Button busy={more.busy} onClick={() => void loadMore()}>
            Show more
          </Button>
        )}
      </div>
    </>
  );
}

function nameOf(product: StaffProduct) {
  return (
    <span class="row product-name">
      <span class="thumb">
        <Picture url={product.images[0]?.url ?? null} alt="" width={96} />
      </span>
      <a href={`/office/catalogue/${product.id}`}>{product.title}</a>
    </span>
  );
}

function priceCell(product: StaffProduct) {
  if (!product.variants.length) return <span class="muted small">no price</span>;
  const { minor, compareAtMinor, from } = priceOf(product);
  return <Price minor={minor} compareAtMinor={compareAtMinor} from={from} currency={currency.value} />;
}

export function ProductState({ state }: { state: string }) {
  if (state === 'active') return <Badge tone="ok">For sale</Badge>;
  return <Badge>{state === 'draft' ? 'Draft' : 'Archived'}</Badge>;
}

function NoProducts(props: { sought: string; state: string }) {
  if (props.sought)
    return (
      <Empty icon="search" title={`Nothing found for “${props.sought}”`}>
        Try fewer or other words.
      </Empty>
    );
  if (props.state)
    return (
      <Empty icon="tag" title="No product here">
        No product is in this state.
      </Empty>
    );
  return (
    <Empty
      icon="tag"
      title="Nothing to sell yet"
      action={
        may.editCatalogue() && (
          <LinkButton href="/office/catalogue/new" kind="primary">
            Add a product
          </LinkButton>
        )
      }
    >
      Add the first product, or import a whole catalogue from Shopify’s CSV.
    </Empty>
  );
}
