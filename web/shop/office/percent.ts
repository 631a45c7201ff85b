/** Rates: basis points (hundredths of a percent) and what people write. */

/** 1900 → "19", 770 → "7.7" */
export const percent = (bp: number): string => String(bp / 100);

/** "7,7" → 770; null where it is no rate from 0 to 100 with at most two decimals. */
export function basisPoints(text: string): number | null {
  const cleaned = text.trim().replace(',', '.').replace(/\s*%$/, '');
  if (!/^\d{1,3}(\.\d{1,2})?$/.test(cleaned)) return null;
  const bp = Math.round(Number(cleaned) * 100);
  return bp <= 10_000 ? bp : null;
}
