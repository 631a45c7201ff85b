import { useRef } from 'preact/hooks';

/** Less than a person needs to see that a price has moved and hold the finger back. */
const SETTLES_MS = 300;

/**
 * Whether `value` has stood on the screen for long enough to be meant by a tap. A price that jumps under the finger is
 * never what was agreed to.
 */
export function useSteady(value: unknown, now: () => number = () => performance.now()): () => boolean {
  const seen = useRef<{ value: unknown; since: number }>({ value, since: Number.NEGATIVE_INFINITY });
  if (seen.current.value !== value) seen.current = { value, since: now() };
  return () => now() - seen.current.since >= SETTLES_MS;
}
