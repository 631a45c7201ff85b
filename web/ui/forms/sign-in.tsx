import { useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { asProblem, Problem } from '../../core/problem.ts';
import type { Me } from '../../core/types.ts';
import { Button } from '../button.tsx';
import { Field } from '../field.tsx';
import { me, rememberDevice } from '../session.ts';
import { ProblemNote } from '../status.tsx';

const PASSWORD_LEAST = 10;

/** What is missing, said before anything is sent. */
function faults(up: boolean, form: { email: string; password: string; name: string }): Record<string, string> | null {
  const found: Record<string, string> = {};
  if (up && !form.name.trim()) found['display_name'] = 'Enter your name.';
  if (!/^\s*[^@\s]+@[^@\s]+\s*$/.test(form.email)) found['email'] = 'Enter your e-mail address.';
  if (!form.password) found['password'] = 'Enter your password.';
  else if (up && form.password.length < PASSWORD_LEAST) found['password'] = `At least ${PASSWORD_LEAST} characters.`;
  return Object.keys(found).length ? found : null;
}

/** Signs in or up, wherever it stands: the account page or a sheet over the video. */
export function SignInForm(props: { start?: 'in' | 'up'; onDone: (person: Me) => void }) {
  const [mode, setMode] = useState<'in' | 'up'>(props.start ?? 'in');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [name, setName] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const up = mode === 'up';

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const missing = faults(up, { email, password, name });
    if (missing) return setProblem(new Problem({ code: 'incomplete', fields: missing }));
    setBusy(true);
    setProblem(null);
    try {
      const person = up
        ? await api.signUp({ email, password, display_name: name })
        : await api.signIn({ email, password });
      me.value = person;
      rememberDevice();
      props.onDone(person);
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };

  const loose = problem && Object.keys(problem.fields).length === 0 ? problem : null;
  return (
    <form class="form" onSubmit={submit} data-testid={up ? 'sign-up-form' : 'sign-in-form'} noValidate>
      <ProblemNote problem={loose} />
      {up && (
        <Field
          label="Name"
          name="display_name"
          value={name}
          onValue={setName}
          autocomplete="name"
          maxLength={60}
          required
          hint="Shown next to your comments."
          problem={problem?.fields['display_name']}
          testid="name"
        />
      )}
      <Field
        label="E-mail"
        name="email"
        type="email"
        inputmode="email"
        value={email}
        onValue={setEmail}
        autocomplete={up ? 'email' : 'username'}
        required
        problem={problem?.fields['email']}
        testid="email"
      />
      <Field
        label="Password"
        name="password"
        type="password"
        value={password}
        onValue={setPassword}
        autocomplete={up ? 'new-password' : 'current-password'}
        required
        hint={up ? `At least ${PASSWORD_LEAST} characters.` : undefined}
        problem={problem?.fields['password']}
        testid="password"
      />
      <Button type="submit" kind="primary" size="l" wide busy={busy} testid="submit">
        {up ? 'Create account' : 'Sign in'}
      </Button>
      <div class="row wrap spread small">
        <button type="button" class="link-button" onClick={() => setMode(up ? 'in' : 'up')} data-testid="switch-mode">
          {up ? 'I have an account' : 'Create an account'}
        </button>
        {!up && <a href="/account/forgot">Forgot your password?</a>}
      </div>
    </form>
  );
}
