import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { paymentUi, type CardForm as MountedForm } from '../../core/payment/index.ts';
import { asProblem, Problem } from '../../core/problem.ts';
import type { Card, CardSetup } from '../../core/types.ts';
import { Button } from '../button.tsx';
import { config } from '../session.ts';
import { ProblemNote, Skeleton } from '../status.tsx';

/** Saves a card with the payment provider; what we keep is its brand and last four digits. */
export function CardForm(props: { onDone: (card: Card) => void; submit?: string }) {
  const box = useRef<HTMLDivElement>(null);
  const form = useRef<MountedForm | null>(null);
  const setup = useRef<CardSetup | null>(null);
  const [ready, setReady] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let gone = false;
    const open = async () => {
      const started = await api.startCard();
      const ui = await paymentUi(config.value!.payments);
      if (gone) return;
      const mounted = await ui.mount(box.current!, started);
      if (gone) return mounted.unmount();
      setup.current = started;
      form.current = mounted;
      setReady(true);
    };
    open().catch((error) => !gone && setProblem(asProblem(error)));
    return () => {
      gone = true;
      form.current?.unmount();
      form.current = null;
    };
  }, [attempt]);

  const again = () => {
    setProblem(null);
    setReady(false);
    setAttempt(attempt + 1);
  };

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || !form.current || !setup.current) return;
    setBusy(true);
    setProblem(null);
    try {
      const outcome = await form.current.confirm();
      if (!outcome.ok)
        throw new Problem({ code: outcome.code, detail: outcome.message, what_to_do: 'Use another card. Nothing was charged.' });
      props.onDone(await api.saveCard(setup.current.setup_intent));
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form class="form" onSubmit={submit} data-testid="card-form">
      <div ref={box} class="card-form-box" />
      {!ready && !problem && <Skeleton height="3.5rem" lines={3} />}
      <ProblemNote problem={problem} retry={ready ? undefined : again} />
      <Button type="submit" kind="primary" size="l" wide icon="lock" busy={busy} disabled={!ready} testid="save-card">
        {props.submit ?? 'Save card'}
      </Button>
      <p class="small muted">Your card stays with the payment provider. We only see its brand and last four digits.</p>
    </form>
  );
}
