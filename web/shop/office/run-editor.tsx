/** The run-of-show before the show: which products, in which order. Saved with each change. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import type { Product } from '../../core/types.ts';
import { moved } from '../../ui/desk/run.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { ProductCard } from '../../ui/product-card.tsx';
import { currency } from '../../ui/session.ts';
import { Badge, Empty, ProblemNote, Skeleton } from '../../ui/status.tsx';
import { useLoaded, useSaving, useSettled } from '../loaded.ts';
import { Panel, SearchField } from './parts.tsx';
import { may, staff } from './staff.ts';

export function RunEditor({ showId, ended }: { showId: string; ended: boolean }) {
  const { value: show, problem, reload } = useLoaded(() => api.show(showId), showId);
  const [products, setProducts] = useState<Product[] | null>(null);
  const [adding, setAdding] = useState(false);
  const saving = useSaving((next: Product[]) => staff.setItems(showId, next.map(({ id }) => id)));
  useEffect(() => void (show && setProducts(show.items.map(({ product }) => product))), [show]);
  const pinned = show?.items.find(({ state }) => state === 'pinned')?.product.id;
  const save = (next: Product[]) => {
    setProducts(next);
    void saving.save(next).then((done) => done || reload());
  };
  const edits = may.editShows() && !ended;
  return (
    <Panel
      title="Run-of-show"
      lead={edits ? 'The products in the order you want to show them. Drag them, or use the arrows.' : 'The products, in their order.'}
      actions={
        edits && (
          <Button icon="plus" aria-haspopup="dialog" onClick={() => setAdding(true)} testid="add-items">
            Add products
          </Button>
        )
      }
      testid="run"
    >
      <ProblemNote problem={problem} retry={reload} />
      <ProblemNote problem={saving.problem} />
      {!products && !problem && <Skeleton height="4rem" lines={3} />}
      {products?.length === 0 && (
        <Empty icon="tag" title="No products yet">
          What is in the run-of-show can be pinned over the picture.
        </Empty>
      )}
      {products && products.length > 0 && <Order products={products} pinned={pinned} edits={edits} onOrder={save} />}
      <Sheet open={adding} onClose={() => setAdding(false)} title="Add products" testid="add-items-sheet">
        {adding && <Picker taken={new Set(products?.map(({ id }) => id))} onPick={(product) => save([...(products ?? []), product])} />}
      </Sheet>
    </Panel>
  );
}

interface OrderProps {
  products: Product[];
  pinned: string | undefined;
  edits: boolean;
  onOrder: (products: Product[]) => void;
}

function Order({ products, pinned, edits, onOrder }: OrderProps) {
  const [dragged, drag] = useState<number | null>(null);
  const [over, setOver] = useState<number | null>(null);
  const [said, say] = useState('');
  const list = useRef<HTMLOListElement>(null);
  const move = (from: number, to: number, button?: 'up' | 'down') => {
    onOrder(moved(products, from, to));
    say(`${products[from]!.title} is number ${to + 1} of ${products.length} now.`);
    // The arrow moves with its row: focus goes along, or to the other arrow at an end.
    if (button)
      requestAnimationFrame(() => {
        const row = list.current?.children[to];
        const same = row?.querySelector<HTMLButtonElement>(`[data-move=${button}] button:not(:disabled)`);
        (same ?? row?.querySelector<HTMLButtonElement>('[data-move] button:not(:disabled)'))?.focus();
      });
  };
  const drop = () => {
    if (dragged !== null && over !== null && dragged !== over) move(dragged, over);
    drag(null);
    setOver(null);
  };
  return (
    <>
      <p class="visually-hidden" role="status">
        {said}
      </p>
      <ol class="run-list" ref={list}>
        {products.map((product, index) => (
          <li
            key={product.id}
            class={`${dragged === index ? 'dragged' : ''}${over === index && dragged !== null && dragged !== index ? (dragged > index ? ' drop-before' : ' drop-after') : ''}`}
            draggable={edits}
            data-testid="run-item"
            data-product={product.id}
            onDragStart={(event) => {
              event.dataTransfer?.setData('text/plain', product.title);
              drag(index);
            }}
            onDragOver={(event) => {
              if (dragged === null) return;
              event.preventDefault();
              setOver(index);
            }}
            onDrop={(event) => {
              event.preventDefault();
              drop();
            }}
            onDragEnd={() => {
              drag(null);
              setOver(null);
            }}
          >
            <span class="run-number tabular" aria-hidden="true">
              {edits ? <Icon name="drag" size={18} /> : index + 1}
            </span>
            <ProductCard product={product} currency={currency.value} as="row" />
            {product.id === pinned && <Badge tone="live">Now</Badge>}
            {edits && (
              <span class="run-tools">
                <span data-move="up">
                  <IconButton icon="arrow_up" label={`Move ${product.title} up`} disabled={index === 0} onClick={() => move(index, index - 1, 'up')} />
                </span>
                <span data-move="down">
                  <IconButton icon="arrow_down" label={`Move ${product.title} down`} disabled={index === products.length - 1} onClick={() => move(index, index + 1, 'down')} />
                </span>
                <IconButton
                  icon="trash"
                  kind="danger"
                  label={`Take ${product.title} out`}
                  disabled={product.id === pinned}
                  onClick={() => onOrder(products.filter(({ id }) => id !== product.id))}
                />
              </span>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}

function Picker({ taken, onPick }: { taken: ReadonlySet<string>; onPick: (product: Product) => void }) {
  const [words, setWords] = useState('');
  const q = useSettled(words.trim());
  const { value, problem, reload } = useLoaded(() => staff.products({ q, state: 'active' }), q);
  return (
    <div class="stack">
      <SearchField label="Search products" value={words} onValue={setWords} />
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="4rem" lines={4} />}
      {value?.products.length === 0 && (
        <Empty icon="search" title="Nothing found">
          {q ? 'Try other words.' : 'Add products to the catalogue first.'}
        </Empty>
      )}
      <ul class="list">
        {value?.products.map((product) => (
          <li key={product.id}>
            <ProductCard
              product={product}
              currency={currency.value}
              as="row"
              action={
                taken.has(product.id) ? (
                  <Badge icon="check">Added</Badge>
                ) : (
                  <Button size="s" icon="plus" onClick={() => onPick(product)}>
                    Add<span class="visually-hidden"> {product.title}</span>
                  </Button>
                )
              }
            />
          </li>
        ))}
      </ul>
      {value?.next && <p class="muted small">There are more: search for them by name.</p>}
    </div>
  );
}
