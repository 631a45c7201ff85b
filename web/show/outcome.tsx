import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { money, ordinal } from '../core/format.ts';
import { instead, titles, type Purchase } from '../core/purchase.ts';
import { Button, IconButton, LinkButton, Spinner } from '../ui/button.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import { currency } from '../ui/session.ts';
import type { Checkout, CheckoutSheetPlace } from './checkout.ts';
import './checkout.css';

const PAID_SHOWN_MS = 12_000;

/** How the purchase went: each outcome its own words and its own way on. */
export function Outcome({ store }: { store: Pick<CheckoutSheetPlace, 'checkout'> }) {
  const { checkout } = store;
  const purchase = checkout.purchase.value;
  useEffect(() => {
    if (purchase.step !== 'paid') return;
    const timer = setTimeout(() => checkout.dismiss(), PAID_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [purchase]);
  return (
    <div role="status" aria-live="assertive" class="outcome-place" data-testid="outcome-place">
      {purchase.step !== 'idle' && (
        <div class={`outcome is-${purchase.step}`} data-testid="outcome" data-outcome={outcomeCode(purchase)}>
          {content(purchase, checkout)}
        </div>
      )}
    </div>
  );
}

/** One word for tests and styles: the step, or why it was refused. */
export function outcomeCode(purchase: Purchase): string {
  return purchase.step === 'refused' ? purchase.problem.code : purchase.step;
}

function content(purchase: Purchase, checkout: Checkout) {
  switch (purchase.step) {
    case 'idle':
      return null;
    case 'placing':
      return <Words busy title="Reserving…" text={titles(purchase.lines)} />;
    case 'charging':
      return (
        <Words
          busy
          title={purchase.order.position ? `You were ${ordinal(purchase.order.position)}: it is yours` : 'It is reserved for you'}
          text={`Charging ${money(purchase.order.total_minor, purchase.order.currency)}…`}
        />
      );
    case 'action':
      return (
        <Words icon="lock" title="Your bank wants to make sure" text="It is reserved for you meanwhile.">
          <Button kind="buy" busy={checkout.authenticating.value} onClick={() => void checkout.authenticate()} testid="authenticate">
            Confirm now
          </Button>
          <Button kind="quiet" disabled={checkout.authenticating.value} onClick={() => void checkout.cancel()} testid="cancel-order">
            Cancel
          </Button>
        </Words>
      );
    case 'paid':
      return (
        <Words
          icon="check"
          title="It’s yours"
          text={`${titles(purchase.lines)} · ${money(purchase.order.total_minor, purchase.order.currency)} paid${purchase.order.position ? ` · ${ordinal(purchase.order.position)} in the drop` : ''}`}
          dismiss={checkout}
        >
          <LinkButton href={`/orders/${purchase.orderId}`} size="s" external>
            See the order
          </LinkButton>
        </Words>
      );
    case 'declined':
      if (checkout.isWon(purchase.orderId))
        return <Words icon="alert" title="The card was declined" text="It goes to the next bidder. You were not charged." dismiss={checkout} />;
      return (
        <Words
          icon="alert"
          title="The card was declined"
          text={`${purchase.order.message ?? 'The bank gave no reason.'} You were not charged.`}
          dismiss={checkout}
        >
          <Button kind="buy" icon="card" onClick={() => checkout.anotherCard()} testid="another-card">
            Use another card
          </Button>
        </Words>
      );
    case 'cancelled':
      return <Words icon="info" title="The order was cancelled" text="You were not charged." dismiss={checkout} />;
    case 'unknown':
      return (
        <Words icon="alert" title="No answer yet" text="We do not know whether the order arrived. Asking again never orders twice." dismiss={checkout}>
          <Button kind="buy" icon="refresh" onClick={() => checkout.retry()} testid="ask-again">
            Ask again
          </Button>
        </Words>
      );
    case 'refused':
      return <Refused purchase={purchase} checkout={checkout} />;
  }
}

function Refused({ purchase, checkout }: { purchase: Extract<Purchase, { step: 'refused' }>; checkout: Checkout }) {
  const { problem } = purchase;
  const other = instead(purchase);
  const total = other?.reduce((sum, line) => sum + line.quantity * line.unit_price_minor, 0) ?? 0;
  const price = money(total, currency.value);
  const accept = (label: string) =>
    other && (
      <Button kind="buy" onClick={() => checkout.acceptInstead()} testid="accept-instead">
        {label}
      </Button>
    );
  switch (problem.code) {
    case 'sold_out':
      return (
        <Words icon="box" title={other ? 'Not that many are left' : 'Sold out'} text={other ? 'Nothing was charged.' : 'Somebody was faster. Nothing was charged.'} dismiss={checkout}>
          {accept(`Buy ${titles(other ?? [])} · ${price}`)}
        </Words>
      );
    case 'price_changed':
      return (
        <Words icon="tag" title={other ? `The price is ${price} now` : 'The price has changed'} text="It changed as you tapped. Nothing was charged." dismiss={checkout}>
          {accept(`Buy for ${price}`)}
        </Words>
      );
    case 'not_open_yet':
      return <Words icon="clock" title="It has not opened yet" text={`${problem.retryAfterS ? `It opens in ${Math.ceil(problem.retryAfterS)} s, for everyone at once.` : 'It opens for everyone at once.'} Nothing was charged.`} dismiss={checkout} />;
    case 'offer_over':
      return <Words icon="clock" title="Your turn is over" text="It went to the next in line. Join the waitlist again to have another. Nothing was charged." dismiss={checkout} />;
    case 'buyer_limit': {
      const limit = problem.lines.find((line) => line.buyer_limit)?.buyer_limit;
      const text = limit ? `At most ${limit} for one person, earlier orders included.` : problem.message;
      return <Words icon="people" title="That is more than one person may buy" text={`${text} Nothing was charged.`} dismiss={checkout} />;
    }
    default:
      return (
        <Words
          icon="alert"
          title={problem.message}
          text={problem.retryAfterS ? `Try again in ${Math.ceil(problem.retryAfterS)} s. Nothing was charged.` : `${problem.whatToDo} Nothing was charged.`.trim()}
          dismiss={checkout}
        />
      );
  }
}

function Words(props: {
  title: string;
  text: string;
  icon?: IconName;
  busy?: boolean;
  dismiss?: Checkout;
  children?: ComponentChildren;
}) {
  const { title, text, icon, busy, dismiss, children } = props;
  return (
    <>
      <span class="outcome-icon">{busy ? <Spinner /> : icon && <Icon name={icon} size={20} />}</span>
      <div class="outcome-words">
        <strong>{title}</strong>
        <p>{text}</p>
      </div>
      {dismiss && <IconButton icon="close" size="s" label="Dismiss" onClick={() => dismiss.dismiss()} testid="dismiss-outcome" />}
      {children && <div class="outcome-actions">{children}</div>}
    </>
  );
}
