import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const css = readFileSync(new URL('../ui/tokens.css', import.meta.url), 'utf8');

/** A token's colour on each side: both sides of light-dark(), or the same one twice. */
function token(name: string): [string, string] {
  const value = new RegExp(`--${name}:\\s*([^;]+);`).exec(css)?.[1];
  const pair = /light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)/.exec(value ?? '');
  if (pair) return [pair[1]!, pair[2]!];
  if (value && /^#[0-9a-f]{6}$/.test(value)) return [value, value];
  throw new Error(`--${name} is no colour: ${value}`);
}

/** Relative luminance and contrast ratio, WCAG 2.2. */
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light! + 0.05) / (dark! + 0.05);
}

const TEXT: [text: string, ground: string][] = [
  ...['paper', 'surface', 'surface-2'].flatMap((ground): [string, string][] => [
    ['ink', ground],
    ['ink-2', ground],
    ['ink-3', ground],
    ['brand', ground],
  ]),
  ...['paper', 'surface'].flatMap((ground): [string, string][] => [
    ['danger', ground],
    ['warn', ground],
    ['ok', ground],
  ]),
  ['on-action', 'action'],
  ['on-action', 'action-hover'],
  ['on-buy', 'buy'],
  ['on-buy', 'buy-hover'],
  ['on-live', 'live'],
  ['brand', 'brand-soft'],
  ['ink', 'brand-soft'],
  ['danger', 'danger-soft'],
  ['warn', 'warn-soft'],
  ['ok', 'ok-soft'],
  ['ink', 'danger-soft'],
  ['ink', 'warn-soft'],
  ['ink', 'ok-soft'],
];

const EDGES: [edge: string, ground: string][] = [
  ['line-strong', 'surface'],
  ['line-strong', 'paper'],
  ['focus', 'surface'],
  ['focus', 'paper'],
];

describe.each([
  ['light', 0],
  ['dark', 1],
] as const)('%s colours', (_, side) => {
  it.each(TEXT)('%s is readable on %s', (text, ground) => {
    expect(contrast(token(text)[side], token(ground)[side])).toBeGreaterThanOrEqual(4.5);
  });
  it.each(EDGES)('%s can be seen on %s', (edge, ground) => {
    expect(contrast(token(edge)[side], token(ground)[side])).toBeGreaterThanOrEqual(3);
  });
});

describe('over the picture', () => {
  // The glass is 72 % of a near-black over whatever the camera shows; white is the worst.
  const over = (ground: number) =>
    `#${[12, 18, 15].map((c) => Math.round(c * 0.72 + ground * 0.28).toString(16).padStart(2, '0')).join('')}`;
  it.each(['on-glass', 'on-glass-2'])('%s is readable on glass over white', (name) => {
    expect(contrast(token(name)[0], over(255))).toBeGreaterThanOrEqual(4.5);
  });
});
