import { cardBrand, isExpired, money } from '../core/format.ts';
import { totals } from '../core/offer.ts';
import type { Line } from '../core/purchase.ts';
import type { Card } from '../core/types.ts';
import { Button } from '../ui/button.tsx';
import { Sheet } from '../ui/dialog.tsx';
import { Checkbox } from '../ui/field.tsx';
import { AddressForm, addressLine } from '../ui/forms/address.tsx';
import { CardForm } from '../ui/forms/card.tsx';
import { SignInForm } from '../ui/forms/sign-in.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import { config, currency, isNewHere, me } from '../ui/session.ts';
import { Badge, Skeleton } from '../ui/status.tsx';
import type { Checkout, CheckoutSheetPlace, Need } from './checkout.ts';
import './checkout.css';
import { Totals } from './totals.tsx';

const TITLES: Record<Need, string> = {
  'sign-in': 'Almost yours',
  address: 'Where does it go?',
  card: 'How do you pay?',
  review: 'Ready to buy',
};

/** The first purchase, step by step; later ones only come here to change something. */
export function CheckoutSheet({ store }: { store: CheckoutSheetPlace }) {
  const { checkout } = store;
  const open = store.sheet.value === 'checkout';
  const need = checkout.need.value;
  const lines = checkout.intent.value;
  const goal = checkout.goal.value;
  const cost = totals(lines, config.value?.shop);
  return (
    <Sheet
      open={open}
      onClose={() => {
        checkout.asked.value = checkout.goal.value = null;
        store.open(null);
      }}
      title={goal && need === 'review' ? 'Ready' : TITLES[need]}
      testid="checkout-sheet"
      footer={
        goal && need === 'review' ? (
          <Button kind="buy" size="l" wide icon="check" onClick={goal.run} testid="goal">
            {goal.label}
          </Button>
        ) :
        need === 'review' &&
        lines.length > 0 && (
          <>
            <Totals goods={cost.goods_minor} shipping={cost.shipping_minor} total={cost.total_minor} />
            <Button kind="buy" size="l" wide icon="lock" onClick={() => checkout.buy(lines)} testid="buy-now">
              Buy now · {money(cost.total_minor, currency.value)}
            </Button>
          </>
        )
      }
    >
      {open && (
        <div class="stack" data-testid={`step-${need}`}>
          <Steps need={need} last={goal ? 'Ready' : 'Buy'} />
          {goal && <p class="muted small">{goal.lead}</p>}
          <Step checkout={checkout} need={need} lines={lines} />
        </div>
      )}
    </Sheet>
  );
}

function Steps({ need, last }: { need: Need; last: string }) {
  const steps: Need[] = ['sign-in', 'address', 'card', 'review'];
  const names = ['Account', 'Address', 'Card', last];
  const at = steps.indexOf(need);
  return (
    <ol class="steps" aria-label="Steps">
      {steps.map((step, index) => (
        <li key={step} class={index < at ? 'done' : index === at ? 'now' : ''} aria-current={index === at ? 'step' : undefined}>
          {names[index]}
        </li>
      ))}
    </ol>
  );
}

function Step({ checkout, need, lines }: { checkout: Checkout; need: Need; lines: Line[] }) {
  if (need === 'sign-in')
    return (
      <>
        <Summary lines={lines} />
        <SignInForm start={isNewHere() ? 'up' : 'in'} onDone={() => undefined} />
      </>
    );
  if (checkout.cards.value === null || checkout.addresses.value === null) return <Skeleton height="3.5rem" lines={4} />;
  if (need === 'address') return <AddressStep checkout={checkout} />;
  if (need === 'card') return <CardStep checkout={checkout} />;
  return <Review checkout={checkout} lines={lines} />;
}

function AddressStep({ checkout }: { checkout: Checkout }) {
  const known = checkout.addresses.value ?? [];
  return (
    <>
      {known.length > 0 && (
        <PickList
          rows={known.map((address) => ({ id: address.id, icon: 'home', title: address.name, text: addressLine(address) }))}
          onPick={(id) => {
            checkout.addressId.value = id;
            checkout.asked.value = null;
          }}
          or="or a new address"
        />
      )}
      <AddressForm submit="Send it there" onDone={(address) => checkout.addAddress(address)} />
    </>
  );
}

function CardStep({ checkout }: { checkout: Checkout }) {
  const last = (card: Card) => Number(isExpired(card)) * 2 + Number(checkout.declined.value.has(card.id));
  const known = [...(checkout.cards.value ?? [])].sort((one, other) => last(one) - last(other));
  return (
    <>
      {known.length > 0 && (
        <PickList
          rows={known.map((card) => cardRow(card, checkout.declined.value.has(card.id)))}
          onPick={(id) => {
            checkout.cardId.value = id;
            checkout.asked.value = null;
          }}
          or="or a new card"
        />
      )}
      <CardForm submit="Save card" onDone={(card) => checkout.addCard(card)} />
    </>
  );
}

function cardRow(card: Card, declined: boolean): Row {
  const until = `${String(card.exp_month).padStart(2, '0')}/${card.exp_year}`;
  const expired = isExpired(card);
  return {
    id: card.id,
    icon: 'card',
    title: `${cardBrand(card.brand)} ·· ${card.last4}`,
    text: expired ? `expired ${until}` : declined ? 'was declined just now' : `expires ${until}`,
    disabled: expired,
  };
}

interface Row {
  id: string;
  icon: IconName;
  title: string;
  text: string;
  disabled?: boolean;
}

function PickList(props: {
  rows: Row[];
  onPick: (id: string) => void;
  or: string;
}) {
  return (
    <>
      <div class="stack picks">
        {props.rows.map((row) => (
          <button key={row.id} type="button" class="pick" data-testid="pick" disabled={row.disabled} onClick={() => props.onPick(row.id)}>
            <Icon name={row.icon} size={20} />
            <span class="grow">
              <b>{row.title}</b>
              <small class="clip">{row.text}</small>
            </span>
            <Icon name="chevron_right" size={16} />
          </button>
        ))}
      </div>
      <p class="or">{props.or}</p>
    </>
  );
}

function Review({ checkout, lines }: { checkout: Checkout; lines: Line[] }) {
  const card = checkout.card.value!;
  const address = checkout.address.value!;
  const change = (need: Need) => () => (checkout.asked.value = need);
  return (
    <>
      <Summary lines={lines} />
      <div class="stack picks">
        <button type="button" class="pick" onClick={change('address')} data-testid="change-address">
          <Icon name="home" size={20} />
          <span class="grow">
            <b>{address.name}</b>
            <small class="clip">{addressLine(address)}</small>
          </span>
          <span class="small">Change</span>
        </button>
        <button type="button" class="pick" onClick={change('card')} data-testid="change-card">
          <Icon name="card" size={20} />
          <span class="grow">
            <b>
              {cardBrand(card.brand)} ·· {card.last4}
            </b>
            <small>
              {config.value?.payments.provider === 'demo' ? <Badge tone="warn">Test mode: no money moves</Badge> : 'saved card'}
            </small>
          </span>
          <span class="small">Change</span>
        </button>
      </div>
      {checkout.hasRoom && lines.length > 0 && (
        <Checkbox
          label={`Tell the room when I buy, as “${firstName(me.value?.display_name ?? '')}”`}
          checked={checkout.showFirstName.value}
          onValue={(shown) => checkout.setShowFirstName(shown)}
          testid="show-first-name"
        />
      )}
    </>
  );
}

const firstName = (name: string) => name.trim().split(/\s+/)[0] ?? '';

function Summary({ lines }: { lines: Line[] }) {
  if (lines.length === 0) return null;
  return (
    <ul class="summary">
      {lines.map((line) => (
        <li key={line.variant_id} class="row spread">
          <span class="clip">
            {line.quantity > 1 && `${line.quantity} × `}
            {line.title}
          </span>
          <span class="money tabular">{money(line.unit_price_minor * line.quantity, currency.value)}</span>
        </li>
      ))}
    </ul>
  );
}
