import { useEffect, useRef, useState } from 'preact/hooks';
import { compact } from '../core/format.ts';
import type { Reaction } from '../core/protocol.ts';
import type { ShowStore } from './store.ts';

export const REACTIONS: readonly Reaction[] = ['heart', 'fire', 'clap', 'laugh', 'wow'];
const NAMES: Record<Reaction, string> = { heart: 'Heart', fire: 'Fire', clap: 'Applause', laugh: 'Laugh', wow: 'Wow' };

/** Drawn by us, so that they look the same everywhere. */
export function Glyph({ kind, size = 26 }: { kind: Reaction; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      {DRAWINGS[kind]}
    </svg>
  );
}

const FACE = <circle cx="16" cy="16" r="13" fill="#ffc83d" />;
const DRAWINGS = {
  heart: <path d="M16 28C5.5 21.2 3 16.4 3 11.6A6.9 6.9 0 0 1 16 8.4a6.9 6.9 0 0 1 13 3.2c0 4.8-2.5 9.6-13 16.4z" fill="#ff4d67" />,
  fire: (
    <g>
      <path d="M17.6 2.5c1.4 5 8.6 8 8.6 16.2A10.2 10.2 0 0 1 16 29.2 10.2 10.2 0 0 1 5.8 18.9c0-4.2 2.2-7.4 4.5-9.2.1 2.3.9 3.9 2.3 4.6C12.3 10 13.7 5.2 17.6 2.5z" fill="#ff7a2f" />
      <path d="M16.4 15c.7 2.9 4.3 4.2 4.3 8.1a4.7 4.7 0 0 1-9.4 0c0-2 .9-3.3 2-4.2.1 1.1.5 1.8 1.2 2.2 0-2.4.3-4.6 1.9-6.1z" fill="#ffd24a" />
    </g>
  ),
  clap: (
    <g fill="#ffc83d" stroke="#b97b08" stroke-width="1.4" stroke-linejoin="round">
      <path d="M19.5 9.2 25 15.6a8.3 8.3 0 0 1-1 11.7 8 8 0 0 1-11.2-1l-6-7a2 2 0 0 1 3-2.6l-2.6-3.1a2 2 0 0 1 3-2.6l-.9-1a2 2 0 0 1 3.1-2.6l6 7-.7-3.4c-.3-2 1.2-3 1.8-1.8z" />
      <path d="M22.5 3.5v3M27.5 6l-2 2.3M29.5 11.2l-3 .8" fill="none" stroke="#ffe08a" stroke-width="2" stroke-linecap="round" />
    </g>
  ),
  laugh: (
    <g>
      {FACE}
      <path d="M8 17h16a8 8 0 0 1-16 0z" fill="#5b2a06" />
      <path d="M8.2 13.5q2.3-3.5 4.6 0M19.2 13.5q2.3-3.5 4.6 0" fill="none" stroke="#5b2a06" stroke-width="2" stroke-linecap="round" />
    </g>
  ),
  wow: (
    <g>
      {FACE}
      <circle cx="11.2" cy="13" r="2" fill="#5b2a06" />
      <circle cx="20.8" cy="13" r="2" fill="#5b2a06" />
      <ellipse cx="16" cy="21.5" rx="3.4" ry="4.2" fill="#5b2a06" />
    </g>
  ),
} as const;

const OPEN_MS = 3_000;

/** A heart at once; on a phone the other four stay for a few seconds after it. */
export function ReactionBar({ store, all }: { store: ShowStore; all: boolean }) {
  const [open, setOpen] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const tap = (kind: Reaction) => {
    store.react(kind);
    setOpen(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOpen(false), OPEN_MS);
  };
  const shown = all || open ? REACTIONS : REACTIONS.slice(0, 1);
  return (
    <div class={`reactions ${all ? 'all' : open ? 'open' : ''}`} role="group" aria-label="React" data-testid="reactions">
      {shown.map((kind) => (
        <button key={kind} type="button" class="reaction" aria-label={NAMES[kind]} data-testid={`react-${kind}`} onClick={() => tap(kind)}>
          <Glyph kind={kind} size={24} />
        </button>
      ))}
    </div>
  );
}

const MOST_FLOATING = 24;
const MOST_PER_BURST = 8;
const FLOAT_MS = 2_600;

interface Floater {
  key: number;
  kind: Reaction;
  x: number;
  delayMs: number;
  sway: number;
}

/** Reactions rising over the picture; a crowd's sum is a handful. With reduced motion: a count, no movement. */
export function Floating({ store }: { store: ShowStore }) {
  const [floaters, setFloaters] = useState<Floater[]>([]);
  const [sum, setSum] = useState<{ kind: Reaction; count: number } | null>(null);
  const burst = store.bursts.value;
  const key = useRef(0);
  const fade = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (!burst) return;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      setSum((before) => ({ kind: burst.kind, count: (before?.kind === burst.kind ? before.count : 0) + burst.count }));
      clearTimeout(fade.current);
      fade.current = setTimeout(() => setSum(null), FLOAT_MS);
      return;
    }
    const many = Math.min(MOST_PER_BURST, Math.ceil(Math.sqrt(burst.count)));
    const fresh = Array.from({ length: many }, (_, index) => ({
      key: ++key.current,
      kind: burst.kind,
      x: Math.random(),
      delayMs: index * 110,
      sway: Math.random() * 2 - 1,
    }));
    setFloaters((before) => [...before, ...fresh].slice(-MOST_FLOATING));
    const keys = new Set(fresh.map((floater) => floater.key));
    const timer = setTimeout(() => setFloaters((before) => before.filter((floater) => !keys.has(floater.key))), FLOAT_MS + many * 110);
    return () => void timer;
  }, [burst]);
  return (
    <div class="floating" aria-hidden="true">
      {sum && (
        <span class="floating-sum tabular">
          <Glyph kind={sum.kind} /> {compact(sum.count)}
        </span>
      )}
      {floaters.map((floater) => (
        <span
          key={floater.key}
          class="floater"
          style={{ right: `${floater.x * 3.2}rem`, animationDelay: `${floater.delayMs}ms`, '--sway': `${floater.sway * 1.6}rem` }}
        >
          <Glyph kind={floater.kind} size={30} />
        </span>
      ))}
    </div>
  );
}
