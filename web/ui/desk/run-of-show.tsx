import { useState } from 'preact/hooks';
import { money, moneyInput, parseMoney } from '../../core/format.ts';
import { availableIn, isPlain } from '../../core/offer.ts';
import type { VariantCard } from '../../core/protocol.ts';
import { Button, IconButton } from '../button.tsx';
import { Icon } from '../icons.tsx';
import { Stock } from '../money.tsx';
import { Picture } from '../picture.tsx';
import { Badge, Empty, Skeleton } from '../status.tsx';
import { QuickNumber } from './quick-number.tsx';
import { waysOf } from './sell-dialog.tsx';
import type { RunRow } from './run.ts';
import type { DeskStore } from './store.ts';

const MOST_UNITS = 1_000_000;
const MOST_MINOR = 99_999_999;

/** What is over the picture now, and taking it off. Always there, at one height. */
export function NowShowing({ store }: { store: DeskStore }) {
  const card = store.room.value.pin;
  const row = store.run.value.find(({ card: { product_id } }) => product_id === card?.product_id);
  const shown = row?.card ?? card;
  return (
    <div class={`now-showing${shown ? ' on' : ''}`} data-testid="now-showing" data-product={shown?.product_id ?? ''}>
      <span class="now-image">
        {shown ? <Picture url={shown.image_url} alt="" width={96} /> : <Icon name="pin" size={18} />}
      </span>
      <span class="grow" role="status">
        <span class="now-label">{shown ? 'On the picture now' : 'Nothing on the picture'}</span>
        <strong class="clip">{shown ? shown.title : 'Pin a product to show it to viewers'}</strong>
      </span>
      {store.may('unpin') && (
        <Button size="s" icon="close" disabled={!shown} busy={store.busy.value.has('unpin')} onClick={() => void store.unpin()} testid="unpin">
          Unpin
        </Button>
      )}
    </div>
  );
}

export interface RunProps {
  store: DeskStore;
  /** Whether prices and stock can be changed here, where the role allows it. */
  edits?: boolean;
  /** Whether digits that pin are shown. */
  digits?: boolean;
  arranging?: boolean;
}

/** The run-of-show: what was shown, what is on, what comes. */
export function RunOfShow({ store, edits = false, digits = false, arranging = false }: RunProps) {
  const [dragged, setDragged] = useState<number | null>(null);
  const [over, setOver] = useState<number | null>(null);
  const found = store.kept('find in run', '');
  const words = found.value;
  if (!store.show.value) return <Skeleton height="4.5rem" lines={4} />;
  const rows = store.run.value;
  const editing = edits && (store.may('set_price') || store.may('set_stock'));
  if (rows.length === 0)
    return (
      <Empty icon="tag" title="No products yet">
        What is added to the run-of-show can be pinned over the picture.
      </Empty>
    );
  const drop = () => {
    if (dragged !== null && over !== null && dragged !== over) void store.move(dragged, over);
    setDragged(null);
    setOver(null);
  };
  return (
    <>
    {rows.length >= MANY && !arranging && (
      <label class="run-find">
        <span class="visually-hidden">Find a product of the show</span>
        <input class="input" type="search" placeholder="Find a product" value={words} maxLength={100} onInput={(event) => (found.value = event.currentTarget.value)} data-testid="find-in-run" />
      </label>
    )}
    {words && !arranging && !rows.some((row) => finds(row, words)) && <p class="quiet-empty">None of them is called that.</p>}
    <ol class={`run${arranging ? ' arranging' : ''}`} data-testid="run-of-show">
      {rows.map((row, index) => (
        <li
          key={row.card.product_id}
          hidden={!arranging && !finds(row, words)}
          class={`run-row ${row.state}${availableIn(row.card) <= 0 ? ' gone' : ''}${dragged === index ? ' dragged' : ''}${over === index && dragged !== null && dragged !== index ? (dragged > index ? ' drop-before' : ' drop-after') : ''}`}
          data-testid="run-row"
          data-product={row.card.product_id}
          data-state={row.state}
          draggable={arranging}
          onDragStart={(event) => {
            event.dataTransfer?.setData('text/plain', row.card.title);
            setDragged(index);
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
          onDragEnd={() => setDragged(null)}
        >
          <Row row={row} index={index} last={index === rows.length - 1} quiet={!edits} edits={editing} digits={digits && store.may('pin')} onSell={() => (store.selling.value = row.card.product_id)} {...{ store, arranging }} />
        </li>
      ))}
    </ol>
    </>
  );
}

const MANY = 12;

/** Whether the search words are all in its title. */
const finds = ({ card }: RunRow, words: string): boolean => words.toLowerCase().split(/\s+/).every((word) => card.title.toLowerCase().includes(word));

function Row(props: { row: RunRow; index: number; last: boolean } & Required<RunProps> & { quiet: boolean; onSell: () => void }) {
  const { row, index, last, store, edits, quiet, digits, arranging, onSell } = props;
  const { card, state } = row;
  return (
    <>
      {arranging ? (
        <span class="run-mark grip" aria-hidden="true">
          <Icon name="drag" size={18} />
        </span>
      ) : (
        <span class="run-mark tabular" aria-hidden="true">
          {digits && row.digit ? <kbd>{row.digit}</kbd> : index + 1}
        </span>
      )}
      <span class="run-image">
        <Picture url={card.image_url} alt={card.image_alt ?? ''} width={96} />
      </span>
      <div class="run-text">
        <h3 title={card.title}>{card.title}</h3>
        <p class="run-line">
          <StateWord state={state} quiet={quiet} />
          {isPlain(card) && !edits && <b class="tabular">{money(card.variants[0]?.price_minor ?? 0, card.currency)}</b>}
          <Stock available={availableIn(card)} always={!(edits && store.may('set_stock'))} />
        </p>
      </div>
      {arranging ? <Arrange {...{ store, row, index, last }} /> : <Pin store={store} row={row} onSell={onSell} />}
      {!arranging && (edits || !isPlain(card)) && (
        <div class="run-variants">
          {card.variants.map((variant) => (
            <Variant key={variant.variant_id} variant={variant} row={row} store={store} edits={edits} />
          ))}
        </div>
      )}
    </>
  );
}

/** Where room is short the row's colour and its button say what is on: no word may make it higher. */
function StateWord({ state, quiet }: { state: RunRow['state']; quiet: boolean }) {
  if (quiet && state === 'shown') return <Icon name="check" size={15} label="Shown" />;
  if (quiet) return <span class="visually-hidden">{state === 'pinned' ? 'Now' : 'Upcoming'}</span>;
  if (state === 'pinned') return <Badge tone="live">Now</Badge>;
  if (state === 'shown') return <Badge icon="check">Shown</Badge>;
  return <Badge tone="brand">Upcoming</Badge>;
}

function Pin({ store, row, onSell }: { store: DeskStore; row: RunRow; onSell: () => void }) {
  const sells = store.state.value !== 'ended' && waysOf(store).length > 0;
  if (!store.may('pin')) return null;
  const pinned = row.state === 'pinned';
  const { product_id, title } = row.card;
  return (
    <span class="run-do">
      {sells && <IconButton icon="gavel" label={`Flash price, drop or auction of ${title}`} aria-haspopup="dialog" onClick={onSell} testid={`sell-${product_id}`} />}
      <Button
        size="s"
        kind={pinned ? 'primary' : 'secondary'}
        icon="pin"
        busy={store.busy.value.has(`pin:${product_id}`)}
        aria-pressed={pinned}
        onClick={() => void (pinned ? store.unpin() : store.pin(row))}
        testid={`pin-${product_id}`}
        title={pinned ? 'Take it off the picture' : 'Show it over the picture'}
      >
        {pinned ? 'Pinned' : 'Pin'}
        <span class="visually-hidden"> {title}</span>
      </Button>
    </span>
  );
}

function Variant(props: { variant: VariantCard; row: RunRow; store: DeskStore; edits: boolean }) {
  const { variant, row, store, edits } = props;
  const plain = isPlain(row.card);
  const { variant_id } = variant;
  const { currency, title } = row.card;
  const of = plain ? title : `${title}, ${variant.title}`;
  return (
    <div class="run-variant" data-variant={variant_id}>
      {!plain && <span class="run-variant-name">{variant.title}</span>}
      {edits && store.may('set_price') ? (
        <QuickNumber
          label="Price"
          of={of}
          value={variant.price_minor}
          prefix={symbolOf(currency)}
          inputmode="decimal"
          format={(minor) => moneyInput(minor, currency)}
          parse={(text) => within(parseMoney(text, currency), MOST_MINOR)}
          wrong="No such price: an amount like 19.90."
          send={(price_minor) =>
            store.command(`price:${variant_id}`, { type: 'set_price', variant_id, price_minor }, `${of}: now ${money(price_minor, currency)}.`)
          }
          draft={store.kept(`price ${variant_id}`, null)}
          testid={`price-${variant_id}`}
        />
      ) : (
        <span class="tabular run-variant-price">{money(variant.price_minor, currency)}</span>
      )}
      {edits && store.may('set_stock') ? (
        <QuickNumber
          label="Stock"
          of={of}
          value={variant.available}
          inputmode="numeric"
          format={String}
          parse={(text) => (/^\d{1,7}$/.test(text.trim()) ? within(Number(text), MOST_UNITS) : null)}
          wrong="No such stock: a whole number from 0."
          send={(available) =>
            store.command(`stock:${variant_id}`, { type: 'set_stock', variant_id, available }, `${of}: ${available} in stock.`)
          }
          draft={store.kept(`stock ${variant_id}`, null)}
          testid={`stock-${variant_id}`}
        />
      ) : (
        !plain && <Stock available={variant.available} always />
      )}
    </div>
  );
}

const within = (number: number | null, most: number): number | null => (number === null || number > most ? null : number);

const symbolOf = (currency: string): string =>
  new Intl.NumberFormat(undefined, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' })
    .formatToParts(0)
    .find((part) => part.type === 'currency')?.value ?? currency;

function Arrange({ store, row, index, last }: { store: DeskStore; row: RunRow; index: number; last: boolean }) {
  const busy = store.busy.value.has('items');
  const { title, product_id } = row.card;
  return (
    <span class="run-do">
      <IconButton size="s" icon="arrow_up" label={`Move ${title} up`} disabled={busy || index === 0} onClick={() => void store.move(index, index - 1)} testid={`up-${product_id}`} />
      <IconButton size="s" icon="arrow_down" label={`Move ${title} down`} disabled={busy || last} onClick={() => void store.move(index, index + 1)} testid={`down-${product_id}`} />
      <IconButton size="s" icon="trash" kind="danger" label={`Take ${title} out of the run-of-show`} disabled={busy || row.state === 'pinned'} onClick={() => void store.remove(product_id)} testid={`remove-${product_id}`} />
    </span>
  );
}
