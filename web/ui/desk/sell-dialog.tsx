import { useState } from 'preact/hooks';
import { money, moneyInput, parseMoney } from '../../core/format.ts';
import { isPlain } from '../../core/offer.ts';
import type { Problem } from '../../core/problem.ts';
import type { AnyCommand, VariantCard } from '../../core/protocol.ts';
import { Button } from '../button.tsx';
import { Dialog } from '../dialog.tsx';
import { Choices, Field } from '../field.tsx';
import { ProblemNote } from '../status.tsx';
import type { RunRow } from './run.ts';
import type { DeskStore } from './store.ts';

type Kind = 'flash' | 'drop' | 'auction';

const WAYS: { kind: Kind; needs: AnyCommand['type']; label: string }[] = [
  { kind: 'flash', needs: 'start_flash', label: 'Flash price' },
  { kind: 'drop', needs: 'schedule_drop', label: 'Drop' },
  { kind: 'auction', needs: 'announce_auction', label: 'Auction' },
];

/** The ways this person may sell. */
export const waysOf = (store: DeskStore) => WAYS.filter(({ needs }) => store.may(needs));

/** A flash price, a drop or an auction of a product in the run-of-show. Stands beside every layout, so that none takes it along. */
export function SellDialog({ store }: { store: DeskStore }) {
  const row = store.run.value.find(({ card }) => card.product_id === store.selling.value);
  const onClose = () => (store.selling.value = null);
  return (
    <Dialog open={!!row} onClose={onClose} title={row?.card.title ?? ''} testid="sell-dialog">
      {row && <Ways key={row.card.product_id} store={store} row={row} onDone={onClose} />}
    </Dialog>
  );
}

function Ways({ store, row, onDone }: { store: DeskStore; row: RunRow; onDone: () => void }) {
  const ways = waysOf(store);
  const [kind, setKind] = useState<Kind>(ways[0]?.kind ?? 'flash');
  const [variantId, setVariant] = useState((row.card.variants.find(({ available }) => available > 0) ?? row.card.variants[0])?.variant_id ?? '');
  const variant = row.card.variants.find(({ variant_id }) => variant_id === variantId) ?? row.card.variants[0];
  if (!variant) return <p class="muted">It has nothing that could be sold.</p>;
  const form = { store, variant, currency: row.card.currency, title: isPlain(row.card) ? row.card.title : `${row.card.title}, ${variant.title}`, onDone };
  return (
    <div class="form">
      {ways.length > 1 && <Choices legend="How to sell it" name="way" value={kind} onValue={setKind} options={ways.map((way) => ({ value: way.kind, label: way.label }))} />}
      {!isPlain(row.card) && (
        <Choices
          legend="Which one"
          name="variant"
          value={variant.variant_id}
          onValue={setVariant}
          options={row.card.variants.map((one) => ({ value: one.variant_id, label: one.title, note: `${one.available} in stock` }))}
        />
      )}
      {kind === 'flash' && <FlashForm key={variant.variant_id} {...form} />}
      {kind === 'drop' && <DropForm key={variant.variant_id} {...form} />}
      {kind === 'auction' && <AuctionForm key={variant.variant_id} {...form} />}
    </div>
  );
}

interface FormProps {
  store: DeskStore;
  variant: VariantCard;
  currency: string;
  title: string;
  onDone: () => void;
}

/** Sends one command; a refusal stays in the dialog, success closes it. */
function useSending(onDone: () => void) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const send = async (work: () => Promise<Problem | null>) => {
    if (busy) return;
    setBusy(true);
    const refused = await work();
    setBusy(false);
    setProblem(refused);
    if (!refused) onDone();
  };
  return { busy, problem, send };
}

const submit = (work: () => void) => (event: Event) => {
  event.preventDefault();
  work();
};

const seconds = (pairs: [number, string][]) => pairs.map(([value, label]) => ({ value: String(value), label }));

const wholeIn = (text: string, least: number, most: number): number | null => {
  const number = /^\d{1,7}$/.test(text.trim()) ? Number(text) : null;
  return number !== null && number >= least && number <= most ? number : null;
};

const priceIn = (text: string, currency: string): number | null => {
  const minor = parseMoney(text, currency);
  return minor !== null && minor >= 1 && minor <= 99_999_999 ? minor : null;
};

function FlashForm({ store, variant, currency, title, onDone }: FormProps) {
  const [price, setPrice] = useState(moneyInput(roundPrice(variant.price_minor * 0.8), currency));
  const [lasts, setLasts] = useState('300');
  const [limit, setLimit] = useState('');
  const { busy, problem, send } = useSending(onDone);
  const price_minor = priceIn(price, currency);
  const buyer_limit = limit.trim() ? wholeIn(limit, 1, 99) : 0;
  const dear = price_minor !== null && price_minor >= variant.price_minor;
  const start = () => void send(() => store.startFlash(title, { variant_id: variant.variant_id, price_minor: price_minor!, duration_s: Number(lasts), buyer_limit: buyer_limit ?? 0 }));
  return (
    <form class="form" onSubmit={submit(start)}>
      <Field
        label="Price for now"
        name="price"
        value={price}
        onValue={setPrice}
        inputmode="decimal"
        hint={`Instead of ${money(variant.price_minor, currency)}.`}
        problem={price_minor === null ? 'An amount like 19.90.' : dear ? `Less than ${money(variant.price_minor, currency)}, or it is no flash price.` : null}
        testid="flash-price"
      />
      <Choices legend="For" name="lasts" value={lasts} onValue={setLasts} options={seconds([[60, '1 min'], [300, '5 min'], [900, '15 min']])} />
      <Field label="At most a person" name="limit" optional value={limit} onValue={setLimit} inputmode="numeric" problem={buyer_limit === null ? 'A whole number from 1 to 99.' : null} testid="flash-limit" />
      <ProblemNote problem={problem} />
      <Button type="submit" kind="primary" size="l" wide busy={busy} disabled={price_minor === null || dear || buyer_limit === null} testid="start-flash">
        Start now
      </Button>
    </form>
  );
}

function DropForm({ store, variant, title, onDone }: FormProps) {
  const [opens, setOpens] = useState('300');
  const [text, setUnits] = useState(String(Math.max(1, variant.available)));
  const [offer, setOffer] = useState('120');
  const { busy, problem, send } = useSending(onDone);
  const units = wholeIn(text, 1, 1_000_000);
  const most = units !== null && units > variant.available;
  const start = () => void send(() => store.scheduleDrop(title, { variant_id: variant.variant_id, opens_in_s: Number(opens), units: units!, offer_s: Number(offer) }));
  return (
    <form class="form" onSubmit={submit(start)}>
      <p class="muted small">Until it opens nobody can buy it; then everybody can at the same moment, in the order of their taps.</p>
      <Choices legend="Opens in" name="opens" value={opens} onValue={setOpens} options={seconds([[30, '30 s'], [60, '1 min'], [300, '5 min'], [900, '15 min'], [3600, '1 h']])} />
      <Field
        label="Units"
        name="units"
        value={text}
        onValue={setUnits}
        inputmode="numeric"
        hint={`${variant.available} in stock.`}
        problem={units === null ? 'A whole number from 1.' : most ? `Only ${variant.available} are in stock.` : null}
        testid="drop-units"
      />
      <Choices
        legend="Who waited has to take an offer within"
        name="offer"
        value={offer}
        onValue={setOffer}
        options={seconds([[60, '1 min'], [120, '2 min'], [300, '5 min'], [900, '15 min']])}
      />
      <ProblemNote problem={problem} />
      <Button type="submit" kind="primary" size="l" wide busy={busy} disabled={units === null || most} testid="schedule-drop">
        Schedule it
      </Button>
    </form>
  );
}

/** A round amount near it, as people name prices. */
export function roundPrice(minor: number): number {
  const step = minor >= 1000 ? 100 : minor >= 100 ? 50 : minor >= 20 ? 10 : 1;
  return Math.max(step, Math.round(minor / step) * step);
}

function AuctionForm({ store, variant, currency, title, onDone }: FormProps) {
  const [start, setStart] = useState(moneyInput(roundPrice(variant.price_minor / 2), currency));
  const [step, setStep] = useState(moneyInput(roundPrice(variant.price_minor / 20), currency));
  const [lasts, setLasts] = useState('60');
  const [ending, setEnding] = useState('10');
  const [reserve, setReserve] = useState('');
  const { busy, problem, send } = useSending(onDone);
  const start_minor = priceIn(start, currency);
  const increment_minor = priceIn(step, currency);
  const reserve_minor = reserve.trim() ? priceIn(reserve, currency) : 0;
  const low = reserve_minor !== null && start_minor !== null && reserve_minor > 0 && reserve_minor < start_minor;
  const good = start_minor !== null && increment_minor !== null && reserve_minor !== null && !low;
  const announce = () =>
    void send(() =>
      store.announceAuction(title, {
        variant_id: variant.variant_id,
        start_minor: start_minor!,
        increment_minor: increment_minor!,
        duration_s: Number(lasts),
        extension_s: Number(ending),
        reserve_minor: reserve_minor ?? 0,
      }),
    );
  return (
    <form class="form" onSubmit={submit(announce)}>
      <div class="two-fields">
        <Field label="Starts at" name="start" value={start} onValue={setStart} inputmode="decimal" problem={start_minor === null ? 'An amount like 19.90.' : null} testid="auction-start" />
        <Field label="Step" name="step" value={step} onValue={setStep} inputmode="decimal" problem={increment_minor === null ? 'An amount like 1.00.' : null} testid="auction-step" />
      </div>
      <Choices legend="Runs for" name="lasts" value={lasts} onValue={setLasts} options={seconds([[30, '30 s'], [60, '1 min'], [120, '2 min'], [300, '5 min']])} />
      <Choices
        legend="A late bid"
        name="ending"
        value={ending}
        onValue={setEnding}
        options={[
          { value: '10', label: 'Adds time', note: '10 s after it' },
          { value: '0', label: 'Sudden death', note: 'the end stays' },
        ]}
      />
      <Field
        label="Reserve"
        name="reserve"
        optional
        value={reserve}
        onValue={setReserve}
        inputmode="decimal"
        hint="Below it, it is not sold. Bidders see whether it is met, not what it is."
        problem={reserve_minor === null ? 'An amount like 19.90.' : low ? 'Not below the start.' : null}
        testid="auction-reserve"
      />
      <ProblemNote problem={problem} />
      <Button type="submit" kind="primary" size="l" wide icon="gavel" busy={busy} disabled={!good} testid="announce-auction">
        Announce it
      </Button>
      <p class="muted small">Viewers can bid ahead at once; the clock starts when you open it.</p>
    </form>
  );
}
