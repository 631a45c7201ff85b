/** What a page asked for: not there yet, there, or why not; and asking again. */

import { useEffect, useMemo, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../core/problem.ts';

export interface Loaded<Value> {
  value: Value | null;
  problem: Problem | null;
  reload: () => void;
  /** A newer value than the one loaded: what a change answered. */
  set: (value: Value) => void;
}

/** Loads on mount and whenever `key` changes; an answer that comes too late is dropped. */
export function useLoaded<Value>(ask: () => Promise<Value>, key: string = ''): Loaded<Value> {
  const [value, set] = useState<Value | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    setProblem(null);
    ask().then(
      (answer) => !gone && set(() => answer),
      (error) => !gone && setProblem(asProblem(error)),
    );
    return () => void (gone = true);
  }, [key, round]);
  return { value, problem, reload: () => setRound((before) => before + 1), set: (next) => set(() => next) };
}

/** Brings the first field that is wrong into sight and under the hand, once it is marked. */
export function toFault(): void {
  requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()));
}

export interface Doing {
  busy: boolean;
  problem: Problem | null;
  /** Runs one piece of work at a time; a failure is kept to be shown. Resolves true where it worked. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
}

export function useDoing(): Doing {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = async (work: () => Promise<unknown>) => {
    if (busy) return false;
    setBusy(true);
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      const refused = asProblem(error);
      setProblem(refused);
      if (Object.keys(refused.fields).length) toFault();
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run, clear: () => setProblem(null) };
}

export interface Saving<Value> {
  problem: Problem | null;
  save: (value: Value) => Promise<boolean>;
}

/** Saves what changes faster than the shop answers. */
export function useSaving<Value>(send: (value: Value) => Promise<unknown>): Saving<Value> {
  const [problem, setProblem] = useState<Problem | null>(null);
  const keep = useMemo(() => newestLast(send), []);
  const save = (value: Value) => {
    setProblem(null);
    return keep(value).then(
      () => true,
      (error) => (setProblem(asProblem(error)), false),
    );
  };
  return { problem, save };
}

/** Sends one at a time, the newest last; those that came between are left out. Settles once nothing is left to send. */
export function newestLast<Value>(send: (value: Value) => Promise<unknown>): (value: Value) => Promise<void> {
  let next: { value: Value } | null = null;
  let sending: Promise<void> | null = null;
  const sendAll = async () => {
    try {
      for (let now = next; now; now = next) {
        next = null;
        await send(now.value);
      }
    } finally {
      next = sending = null;
    }
  };
  return (value) => {
    next = { value };
    return (sending ??= sendAll());
  };
}

const TYPING_MS = 250;

/** The value once typing has paused, so that not every letter asks the shop. */
export function useSettled(value: string): string {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), TYPING_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
