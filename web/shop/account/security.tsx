import { useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { relative } from '../../core/format.ts';
import type { SessionRow } from '../../core/types.ts';
import { Button } from '../../ui/button.tsx';
import { Field } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { me } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, ProblemNote, Skeleton, toast, toastProblem } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { deviceOf } from './device.ts';

export function Security() {
  return (
    <>
      <PageHead title="Security" lead="Your password, and where you are signed in." />
      <div class="stack narrow">
        <NewPassword />
        <Sessions />
      </div>
    </>
  );
}

function NewPassword() {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const { busy, problem, run } = useDoing();
  const wrong = problem?.code === 'wrong_password';
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!(await run(() => api.changePassword(current, next)))) return;
    setCurrent('');
    setNext('');
    toast('Your password is changed. Everywhere else you were signed out.', 'ok');
  };
  return (
    <form class="card form" onSubmit={submit} data-testid="password-form">
      <h2>Password</h2>
      <input type="email" name="username" autocomplete="username" value={me.value?.email} readOnly hidden />
      <ProblemNote problem={problem && !wrong && !Object.keys(problem.fields).length ? problem : null} />
      <Field
        label="Current password"
        name="current"
        type="password"
        value={current}
        onValue={setCurrent}
        autocomplete="current-password"
        required
        problem={wrong ? 'That is not your password.' : problem?.fields['current']}
      />
      <Field
        label="New password"
        name="new"
        type="password"
        value={next}
        onValue={setNext}
        autocomplete="new-password"
        required
        minLength={10}
        hint="At least 10 characters."
        problem={problem?.fields['new']}
      />
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} disabled={!current || next.length < 10} testid="save-password">
          Change password
        </Button>
      </div>
    </form>
  );
}

function Sessions() {
  const { value, problem, reload } = useLoaded(() => api.sessions());
  const end = (session: SessionRow) =>
    api.endSession(session.id).then(() => {
      if (session.current) return location.assign('/');
      toast('Signed out there.', 'ok');
      reload();
    }, toastProblem);
  return (
    <section class="card stack" aria-labelledby="sessions">
      <h2 id="sessions">Where you are signed in</h2>
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="3rem" lines={2} />}
      <ul class="list" data-testid="sessions">
        {value?.sessions.map((session) => (
          <li key={session.id} class="row">
            <Icon name="screen" size={20} />
            <span class="grow stacked">
              <span class="row wrap">
                <b>{deviceOf(session.user_agent)}</b>
                {session.current && <Badge tone="ok">This one</Badge>}
              </span>
              <span class="muted small">Seen {relative(Date.parse(session.seen_at), Date.now())}</span>
            </span>
            <Button size="s" onClick={() => void end(session)} testid="end-session">
              Sign out<span class="visually-hidden"> {deviceOf(session.user_agent)}</span>
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
