/** The storefront: everything for sale, found by words; and one product with its way to buy. */

import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import type { Product } from '../core/types.ts';
import { Button, LinkButton } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { availableOf, ProductCard } from '../ui/product-card.tsx';
import { config, currency } from '../ui/session.ts';
import { Failed } from '../ui/start.tsx';
import { Badge, Empty, ProblemNote, Skeleton } from '../ui/status.tsx';
import { useDoing, useLoaded, useSettled } from './loaded.ts';

export { ProductPage } from './product.tsx';

export function Products() {
  const [words, setWords] = useState(() => new URLSearchParams(location.search).get('q') ?? '');
  const sought = useSettled(words.trim());
  const { value, problem, reload, set } = useLoaded(() => api.products({ q: sought }), sought);
  const more = useDoing();
  useEffect(() => history.replaceState(null, '', sought ? `?q=${encodeURIComponent(sought)}` : location.pathname), [sought]);
  const loadMore = () =>
    more.run(async () => {
      const page = await api.products({ q: sought, cursor: value?.next ?? null });
      set({ products: [...(value?.products ?? []), ...page.products], next: page.next });
    });
  return (
    <div class="stack storefront">
      <div class="storefront-head">
        <div>
          <h1>Shop</h1>
          <p class="muted">Everything {config.value?.shop.name} sells, any time.</p>
        </div>
        <Search words={words} onWords={setWords} />
      </div>
      <p class="visually-hidden" role="status">
        {value && sought ? `${value.products.length}${value.next ? ' or more' : ''} found for ${sought}` : ''}
      </p>
      {problem && !value && <Failed error={problem} retry={reload} />}
      {problem && value && <ProblemNote problem={problem} retry={reload} />}
      {value?.products.length === 0 && <Nothing sought={sought} onAll={() => setWords('')} />}
      <h2 class="visually-hidden">Products</h2>
      <div class="tiles">
        {value ? value.products.map((product) => <Tile key={product.id} product={product} />) : !problem && [1, 2, 3, 4, 5, 6, 7, 8].map((n) => <Skeleton key={n} height="18rem" />)}
      </div>
      <ProblemNote problem={more.problem} />
      {value?.next && (
        <div class="row center">
          <Button busy={more.busy} onClick={() => void loadMore()} testid="more">
            Show more
          </Button>
        </div>
      )}
    </div>
  );
}

function Search(props: { words: string; onWords: (words: string) => void }) {
  return (
    <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
      <Icon name="search" size={19} />
      <input
        class="input"
        type="search"
        aria-label="Search the shop"
        placeholder="Search"
        maxLength={100}
        value={props.words}
        onInput={(event) => props.onWords(event.currentTarget.value)}
        data-testid="search"
      />
    </form>
  );
}

function Tile({ product }: { product: Product }) {
  const cut = product.variants.some((variant) => variant.compare_at_minor != null && variant.compare_at_minor > variant.price_minor);
  return (
    <ProductCard
      product={product}
      currency={currency.value}
      href={`/products/${product.handle}`}
      flag={cut && availableOf(product) > 0 && <Badge tone="brand">Reduced</Badge>}
    />
  );
}

function Nothing(props: { sought: string; onAll: () => void }) {
  if (props.sought)
    return (
      <Empty icon="search" title={`Nothing found for “${props.sought}”`} action={<Button onClick={props.onAll}>Show everything</Button>}>
        Try fewer or other words.
      </Empty>
    );
  return (
    <Empty icon="tag" title="Nothing is for sale yet" action={<LinkButton href="/">See what is on</LinkButton>}>
      Products appear here as soon as the shop adds them.
    </Empty>
  );
}
