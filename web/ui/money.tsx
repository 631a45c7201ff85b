import { money } from '../core/format.ts';

export function Money(props: { minor: number; currency: string }) {
  return <span class="money tabular">{money(props.minor, props.currency)}</span>;
}

/** A price, and what it was where that is more. */
export function Price(props: { minor: number; compareAtMinor?: number | null; currency: string; from?: boolean; testid?: string }) {
  const { minor, compareAtMinor, currency, from, testid } = props;
  const cut = compareAtMinor != null && compareAtMinor > minor;
  return (
    <span class="price" data-testid={testid}>
      {from && <span class="from">from </span>}
      <span class="now tabular">{money(minor, currency)}</span>
      {cut && (
        <s class="was tabular">
          <span class="visually-hidden">was </span>
          {money(compareAtMinor, currency)}
        </s>
      )}
    </span>
  );
}

/** What is true of the stock, in words: nothing while there is plenty. */
export function stockWords(available: number): string | null {
  if (available <= 0) return 'Sold out';
  if (available === 1) return 'Last one';
  return available <= 5 ? `Only ${available} left` : null;
}

export function Stock(props: { available: number; always?: boolean; testid?: string }) {
  const words = stockWords(props.available) ?? (props.always ? `${props.available} in stock` : null);
  if (!words) return null;
  const tone = props.available <= 0 ? 'gone' : props.available <= 5 ? 'low' : 'plenty';
  return (
    <span class={`stock ${tone} tabular`} data-testid={props.testid}>
      {words}
    </span>
  );
}
