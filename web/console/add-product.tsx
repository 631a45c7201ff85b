import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { asProblem, type Problem } from '../core/problem.ts';
import type { Product } from '../core/types.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Field } from '../ui/field.tsx';
import { ProductCard } from '../ui/product-card.tsx';
import { currency } from '../ui/session.ts';
import { Badge, Empty, ProblemNote, Skeleton } from '../ui/status.tsx';
import type { DeskStore } from '../ui/desk/store.ts';

const TYPING_MS = 250;

/** Finds a product of the catalogue and puts it at the end of the run-of-show. */
export function AddProduct({ store }: { store: DeskStore }) {
  const open = store.kept('adding', false);
  return (
    <Dialog open={open.value} onClose={() => (open.value = false)} title="Add a product" testid="add-dialog">
      {open.value && <Finder store={store} />}
    </Dialog>
  );
}

function Finder({ store }: { store: DeskStore }) {
  const [words, setWords] = useState('');
  const [found, setFound] = useState<Product[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [refused, setRefused] = useState<Problem | null>(null);
  const [again, setAgain] = useState(0);

  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      api.products({ q: words.trim() }).then(
        ({ products }) => wanted && (setFound(products), setProblem(null)),
        (error) => wanted && setProblem(asProblem(error)),
      );
    }, words ? TYPING_MS : 0);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [words, again]);

  const inShow = new Set(store.run.value.map((row) => row.card.product_id));
  return (
    <div class="finder">
      <Field label="Search the catalogue" name="q" type="search" value={words} onValue={setWords} autocomplete="off" autofocus testid="product-search" />
      <ProblemNote problem={problem} retry={() => setAgain(again + 1)} />
      <ProblemNote problem={refused} />
      <div class="finder-rows">
        {!found && !problem && <Skeleton height="4.25rem" lines={4} />}
        {found?.length === 0 && (
          <Empty icon="search" title="Nothing found">
            Only products that are for sale can be shown. The back office lists all of them.
          </Empty>
        )}
        {found?.map((product) => (
          <ProductCard
            key={product.id}
            as="row"
            product={product}
            currency={currency.value}
            action={
              inShow.has(product.id) ? (
                <Badge icon="check">In the show</Badge>
              ) : (
                <Button size="s" icon="plus" busy={store.busy.value.has('items')} onClick={() => void store.add(product).then(setRefused)} testid={`add-${product.id}`}>
                  Add<span class="visually-hidden"> {product.title}</span>
                </Button>
              )
            }
          />
        ))}
      </div>
    </div>
  );
}
