import { money, ordinal } from '../core/format.ts';
import type { PlaceView } from '../core/protocol.ts';
import type { Line } from '../core/purchase.ts';
import { Button } from './button.tsx';
import { Countdown } from './countdown.tsx';
import { useDerived } from './ticks.ts';

/** Whoever keeps this person's places: the room's page, or the shop over HTTP. */
export interface Waiting {
  readonly now: { readonly value: number };
  readonly places: { readonly value: Readonly<Record<string, PlaceView>> };
  readonly said: { readonly value: Readonly<Record<string, { code: string; text: string }>> };
  readonly working: { readonly value: ReadonlySet<string> };
  join(variantId: string, quantity: number): Promise<void>;
  leave(variantId: string): Promise<void>;
  /** Buys what is kept for this person. */
  take(line: Line): void;
}

export interface WaitlistProps {
  waiting: Waiting;
  variantId: string;
  title: string;
  currency: string;
  quantity?: number;
  /** How many wait, where it is known. */
  ahead?: number;
  /** Where an offer is shown elsewhere on the page: not twice. */
  quiet?: boolean;
  disabled?: boolean;
}

/** For what is sold out: join, the place, the turn with its clock, and the way out. */
export function Waitlist(props: WaitlistProps) {
  const { waiting, variantId, quantity = 1, ahead = 0 } = props;
  const place = waiting.places.value[variantId];
  const said = waiting.said.value[variantId];
  const busy = waiting.working.value.has(variantId);
  if (place?.state === 'offered')
    return props.quiet ? <p class="wait-note small">It’s your turn: see above.</p> : <Turn {...props} place={place} />;
  return (
    <div class="waitlist" data-testid="waitlist" data-place={place?.state ?? 'none'}>
      {place?.state === 'waiting' ? (
        <div class="wait-place">
          <p role="status">
            <strong data-testid="place" data-position={place.position ?? ''}>
              {place.position ? `You are ${ordinal(place.position)} in line` : 'You are on the waitlist'}
            </strong>
            <span>{place.quantity > 1 ? `For ${place.quantity}. ` : ''}When one is free it is kept for you, for a while.</span>
          </p>
          <Button size="s" busy={busy} onClick={() => void waiting.leave(variantId)} testid="leave-waitlist">
            Leave
          </Button>
        </div>
      ) : (
        <Button kind="secondary" icon="clock" wide size="l" busy={busy} disabled={props.disabled} onClick={() => void waiting.join(variantId, quantity)} testid="join-waitlist">
          {place?.state === 'expired' ? 'Wait again' : 'Sold out · join the waitlist'}
        </Button>
      )}
      <p class="wait-note small" role="status">
        {said?.text ?? (place?.state === 'waiting' ? '' : waitWords(place, ahead))}
      </p>
    </div>
  );
}

function waitWords(place: PlaceView | undefined, ahead: number): string {
  if (place?.state === 'expired') return 'Your turn went by; the next in line had it.';
  if (ahead > 0) return `${ahead === 1 ? 'One person is' : `${ahead} people are`} waiting. Nothing is charged for waiting.`;
  return 'Nothing is charged for waiting.';
}

/** The units are kept for this person until the clock runs out. */
export function Turn(props: Omit<WaitlistProps, 'ahead'> & { place: PlaceView }) {
  const { waiting, place, title, currency, variantId } = props;
  const ends = place.offer_ends_ms ?? 0;
  const over = useDerived(() => waiting.now.value >= ends, [waiting, ends]);
  const price = (place.unit_price_minor ?? 0) * place.quantity;
  const line: Line = { variant_id: variantId, quantity: place.quantity, unit_price_minor: place.unit_price_minor ?? 0, title, offer_id: place.offer_id ?? null };
  return (
    <div class="turn" data-testid="turn" data-over={over}>
      <p role="status">
        <strong>{over ? 'Your turn is over' : 'It’s your turn'}</strong>
        <span>
          {place.quantity > 1 ? `${place.quantity} × ` : ''}
          {title} {over ? 'went to the next in line.' : place.quantity > 1 ? 'are kept for you.' : 'is kept for you.'}
        </span>
      </p>
      {!over && <Countdown now={waiting.now} until={ends} label={`Your turn for ${title}`} testid="turn-left" />}
      <div class="turn-do">
        {over ? (
          <Button kind="secondary" wide onClick={() => void waiting.join(variantId, place.quantity)} busy={waiting.working.value.has(variantId)} testid="join-waitlist">
            Wait again
          </Button>
        ) : (
          <>
            <Button kind="buy" size="l" wide disabled={props.disabled} onClick={() => waiting.take(line)} testid="take-turn">
              Buy · {money(price, currency)}
            </Button>
            <Button kind="quiet" busy={waiting.working.value.has(variantId)} onClick={() => void waiting.leave(variantId)} testid="leave-waitlist">
              No, thanks
            </Button>
          </>
        )}
      </div>
    </div>
  );
}
