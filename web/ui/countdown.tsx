import { useEffect, useRef, useState } from 'preact/hooks';
import { leftWords, spokenLeft } from '../core/format.ts';
import './selling.css';
import { useDerived } from './ticks.ts';

/**
 * Time left until `until`, by the server's clock, a step a second. Shown to the eye as it runs; told to those who
 * listen at a minute and at ten seconds only.
 */
export function Countdown(props: { now: { readonly value: number }; until: number; label: string; testid?: string }) {
  const { now, until, label, testid } = props;
  const seconds = useDerived(() => Math.max(0, Math.ceil((until - now.value) / 1000)), [now, until]);
  return (
    <>
      <span class={`countdown tabular${seconds <= 10 ? ' last' : ''}`} role="timer" aria-label={label} data-testid={testid} data-left={seconds}>
        {leftWords(seconds)}
      </span>
      <Spoken seconds={seconds} label={label} />
    </>
  );
}

const SPOKEN_AT = [60, 10];

function Spoken({ seconds, label }: { seconds: number; label: string }) {
  const [words, say] = useState('');
  const before = useRef(seconds);
  useEffect(() => {
    const passed = SPOKEN_AT.find((mark) => before.current > mark && seconds <= mark);
    before.current = seconds;
    if (passed) say(`${label}: ${spokenLeft(passed)}`);
  }, [seconds]);
  return (
    <span class="visually-hidden" aria-live="polite" data-testid="spoken-clock">
      {words}
    </span>
  );
}
