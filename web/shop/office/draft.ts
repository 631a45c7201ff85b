/** What somebody types over what is saved, while others save, too. */

import { useEffect, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../../core/problem.ts';

export interface Draft<Text> {
  /** What each field was typed over. */
  base: Text;
  text: Text;
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** Fields that nobody typed in follow what is saved now; typed ones stay, until it says the same. Pure. */
export function rebased<Text extends object>({ base, text }: Draft<Text>, saved: Text): Draft<Text> {
  const next: Draft<Text> = { base: { ...saved }, text: { ...saved } };
  for (const name of Object.keys(saved) as (keyof Text)[]) {
    if (same(text[name], base[name]) || same(text[name], saved[name])) continue;
    next.base[name] = base[name];
    next.text[name] = text[name];
  }
  return next;
}

/** By field, what others saved over which something else was typed. Pure. */
export function overtaken<Text extends object>({ base, text }: Draft<Text>, saved: Text): Partial<Text> {
  const names = (Object.keys(saved) as (keyof Text)[]).filter((name) => !same(saved[name], base[name]) && !same(saved[name], text[name]));
  return Object.fromEntries(names.map((name) => [name, saved[name]])) as Partial<Text>;
}

const LONGEST = 80;

/** Said under the field; the next save is based on it, and goes through. */
export function overtakenWords(value: unknown): string {
  const words = Array.isArray(value) ? value.join(', ') : String(value ?? '');
  return `Meanwhile it became ${words ? `“${words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words}”` : 'empty'}. Save to keep yours.`;
}

/** Only what was changed, and what that is based on: what others did to the rest stays, what they did to the same is not run over. Pure. */
export function changeOf<Fields extends object>(now: Fields, saved: Fields): Partial<Fields> & { was?: Partial<Fields> } {
  const names = (Object.keys(now) as (keyof Fields)[]).filter((name) => !same(now[name], saved[name]));
  const pick = (from: Fields) => Object.fromEntries(names.map((name) => [name, from[name]])) as Partial<Fields>;
  return names.length ? { ...pick(now), was: pick(saved) } : {};
}

const CHANGED = 'It was changed meanwhile.';
export const somebodyWasFaster = (problem: Problem | null): boolean => problem?.code === 'changed_meanwhile';
export const faultIn = (problem: Problem | null, name: string): string | null => (somebodyWasFaster(problem) && problem!.fields[name] ? CHANGED : (problem?.fields[name] ?? null));
/** What no field can say by itself: where somebody else was faster, that nothing was saved. */
export const looseIn = (problem: Problem | null): Problem | null => (somebodyWasFaster(problem) || !Object.keys(problem?.fields ?? {}).length ? problem : null);

/** A form over `saved`, the newest that is known. */
export function useDraft<Text extends object>(saved: Text) {
  const [draft, setDraft] = useState<Draft<Text>>({ base: saved, text: saved });
  const key = JSON.stringify(saved);
  useEffect(() => setDraft((before) => rebased(before, saved)), [key]);
  const shown = rebased(draft, saved);
  const theirs = overtaken(shown, saved);
  return {
    text: shown.text,
    setText: (text: Text) => setDraft({ base: shown.base, text }),
    dirty: !same(shown.text, saved),
    /** After a save: as the shop writes it. */
    settle: (now: Text) => setDraft({ base: now, text: now }),
    /** What is wrong with a field: what the shop says, else that others changed it. */
    faultOf: (name: keyof Text & string, fault: string | null | undefined, words: (value: Text[typeof name]) => string = overtakenWords): string | null =>
      name in theirs && (!fault || fault === CHANGED) ? words(saved[name]) : (fault ?? null),
  };
}

/** Sends a change; where somebody else was faster, `reload` fetches what they made of it before the refusal is shown. */
export async function sendOver<Value>(send: () => Promise<Value>, reload: () => void): Promise<Value> {
  try {
    return await send();
  } catch (error) {
    if (asProblem(error).code === 'changed_meanwhile') reload();
    throw error;
  }
}

/** Whoever comes back to the window sees what others saved meanwhile. */
export function useFreshOnReturn(reload: () => void): void {
  useEffect(() => {
    const look = () => document.visibilityState === 'visible' && reload();
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
}
