/** Money and time for people, by Intl. */

// As the shop charges them, see server/currency.py: browsers take a forint for the smallest amount, and are a hundred times off.
export const NO_DECIMALS: ReadonlySet<string> = new Set('BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF'.split(' '));
export const THREE_DECIMALS: ReadonlySet<string> = new Set('BHD JOD KWD OMR TND'.split(' '));
export const WHOLE: ReadonlySet<string> = new Set('ISK UGX'.split(' '));

const decimals = (currency: string): number => (NO_DECIMALS.has(currency) ? 0 : THREE_DECIMALS.has(currency) ? 3 : 2);
/** How many of them somebody may use: the third is always 0. */
const usable = (currency: string): number => (WHOLE.has(currency) ? 0 : Math.min(2, decimals(currency)));

const moneyFormats = new Map<string, Intl.NumberFormat>();

function moneyFormat(currency: string, locale: string | undefined): Intl.NumberFormat {
  const key = `${locale ?? ''} ${currency}`;
  let known = moneyFormats.get(key);
  if (!known) {
    const digits = decimals(currency);
    const usual = new Intl.NumberFormat(locale, { style: 'currency', currency }).resolvedOptions().maximumFractionDigits;
    known = new Intl.NumberFormat(locale, {
      style: 'currency',
      currency,
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      trailingZeroDisplay: usual === 0 ? 'stripIfInteger' : 'auto',
    });
    moneyFormats.set(key, known);
  }
  return known;
}

/** 1999 USD → "$19.99"; 1999 JPY → "¥1,999"; 199900 HUF → "HUF 1,999". */
export function money(amountMinor: number, currency: string, locale?: string): string {
  return moneyFormat(currency, locale).format(amountMinor / 10 ** decimals(currency));
}

/** "19.9" in USD → 1990; null where it is no amount. Accepts a comma for the decimal point. */
export function parseMoney(text: string, currency: string): number | null {
  const digits = decimals(currency);
  const cleaned = text.trim().replace(',', '.');
  if (!/^\d{1,7}(\.\d*)?$/.test(cleaned)) return null;
  const [whole, written = ''] = cleaned.split('.') as [string, string?];
  const fraction = written.replace(/0+$/, '');
  if (fraction.length > usable(currency)) return null;
  return Number(whole) * 10 ** digits + Number(fraction.padEnd(digits, '0') || 0);
}

/** 1990 in USD → "19.90", as an input field wants it. */
export function moneyInput(amountMinor: number, currency: string): string {
  const digits = decimals(currency);
  return (amountMinor / 10 ** digits).toFixed(WHOLE.has(currency) ? 0 : digits);
}

export function dateTime(iso: string, locale?: string): string {
  return new Intl.DateTimeFormat(locale, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: 'numeric',
    minute: '2-digit',
  }).format(new Date(iso));
}

export function date(iso: string, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', year: 'numeric' }).format(new Date(iso));
}

export function timeOfDay(ms: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' }).format(ms);
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
];

/** "in 2 hours", "3 minutes ago"; under ten seconds "now". */
export function relative(ms: number, nowMs: number, locale?: string): string {
  const delta = ms - nowMs;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  if (Math.abs(delta) < 10_000) return format.format(0, 'second');
  const [unit, size] = STEPS.find(([, step]) => Math.abs(delta) >= step) ?? ['second', 1000];
  return format.format(Math.round(delta / size), unit);
}

export interface Countdown {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
  done: boolean;
}

export function countdown(targetMs: number, nowMs: number): Countdown {
  const left = Math.max(0, Math.ceil((targetMs - nowMs) / 1000));
  return {
    days: Math.floor(left / 86_400),
    hours: Math.floor(left / 3600) % 24,
    minutes: Math.floor(left / 60) % 60,
    seconds: left % 60,
    done: left === 0,
  };
}

/** 65 → "1:05", 3700 → "1:01:40", two days → "2 d 3 h": time left in the least space. */
export function leftWords(seconds: number): string {
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)} d ${Math.floor(seconds / 3600) % 24} h`;
  const two = (part: number) => String(part).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return seconds >= 3600 ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** The same for those who listen: "one minute left". */
export function spokenLeft(seconds: number): string {
  if (seconds === 60) return 'one minute left';
  return seconds >= 60 ? `${Math.floor(seconds / 60)} minutes left` : `${seconds} seconds left`;
}

/** "20:00:00" today, with its date on another day: a moment that is meant to the second. */
export function moment(ms: number, nowMs: number, locale?: string): string {
  const today = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  const day: Intl.DateTimeFormatOptions = today ? {} : { weekday: 'short', day: 'numeric', month: 'short' };
  return new Intl.DateTimeFormat(locale, { ...day, hour: 'numeric', minute: '2-digit', second: '2-digit' }).format(ms);
}

/** 2 → "2nd". */
export function ordinal(position: number): string {
  const ends: Partial<Record<Intl.LDMLPluralRule, string>> = { one: 'st', two: 'nd', few: 'rd' };
  return `${position}${ends[new Intl.PluralRules('en', { type: 'ordinal' }).select(position)] ?? 'th'}`;
}

/** 1234 → "1.2K", for counts over the picture. */
export function compact(count: number, locale?: string): string {
  return new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 }).format(count);
}

/** "visa" → "Visa", for the brands Stripe names. */
export function cardBrand(brand: string): string {
  const names: Record<string, string> = { amex: 'Amex', jcb: 'JCB', unionpay: 'UnionPay', diners: 'Diners' };
  return names[brand] ?? brand.charAt(0).toUpperCase() + brand.slice(1);
}

/** A card is good to the end of the month that stands on it. */
export function isExpired(card: { exp_month: number; exp_year: number }, now: Date = new Date()): boolean {
  return new Date(card.exp_year, card.exp_month, 1) <= now;
}
