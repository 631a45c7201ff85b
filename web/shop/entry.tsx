/** The doors: sign in, sign up, forgotten and new passwords, confirmed addresses, invitations. */

import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { api } from '../core/api.ts';
import { asProblem, Problem } from '../core/problem.ts';
import { Button, LinkButton } from '../ui/button.tsx';
import { Field } from '../ui/field.tsx';
import { SignInForm } from '../ui/forms/sign-in.tsx';
import { Lost } from './lost.tsx';
import { config, me, safeNext, signInUrl } from '../ui/session.ts';
import { ProblemNote, Skeleton } from '../ui/status.tsx';

function Door(props: { title: string; lead?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="door card">
      <h1>{props.title}</h1>
      {props.lead && <p class="muted">{props.lead}</p>}
      {props.children}
    </section>
  );
}

/** A token that came by mail stands in the fragment, which no server and no referrer ever sees. */
function tokenOfLink(): string {
  return new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
}

const next = () => safeNext(new URLSearchParams(location.search).get('next'));
const onward = () => location.assign(next());

export function SignIn() {
  useEffect(() => void (me.value && onward()), []);
  return (
    <Door title="Welcome back" lead={`Sign in to talk and buy at ${config.value?.shop.name}.`}>
      <SignInForm onDone={onward} />
    </Door>
  );
}

export function SignUp() {
  return (
    <Door title="Create an account" lead="One account for talking, buying and following your orders.">
      <SignInForm start="up" onDone={onward} />
    </Door>
  );
}

/** One thing sent, then words in its place. */
function useSending(): { busy: boolean; done: boolean; problem: Problem | null; send: (work: () => Promise<unknown>) => void } {
  const [state, set] = useState<{ busy: boolean; done: boolean; problem: Problem | null }>({ busy: false, done: false, problem: null });
  const send = (work: () => Promise<unknown>) => {
    if (state.busy) return;
    set({ busy: true, done: false, problem: null });
    work().then(
      () => set({ busy: false, done: true, problem: null }),
      (error) => set({ busy: false, done: false, problem: asProblem(error) }),
    );
  };
  return { ...state, send };
}

export function Forgot() {
  const [email, setEmail] = useState('');
  const { busy, done, problem, send } = useSending();
  if (done)
    return (
      <Door title="Look in your mail">
        <p>If there is an account for {email}, a link to set a new password is on its way. It works for one hour.</p>
        <LinkButton href="/account/sign-in">Back to signing in</LinkButton>
      </Door>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    send(() => api.forgot(email));
  };
  return (
    <Door title="Forgot your password?" lead="We send you a link to set a new one.">
      <form class="form" onSubmit={submit}>
        <ProblemNote problem={problem} />
        <Field label="E-mail" name="email" type="email" value={email} onValue={setEmail} autocomplete="username" required />
        <Button type="submit" kind="primary" size="l" wide busy={busy}>
          Send the link
        </Button>
      </form>
    </Door>
  );
}

export function Reset() {
  const [token] = useState(tokenOfLink);
  const [password, setPassword] = useState('');
  const { busy, done, problem, send } = useSending();
  if (!token) return <BrokenLink />;
  if (done)
    return (
      <Door title="Your new password is set">
        <p>Everywhere else you have been signed out.</p>
        <LinkButton href={signInUrl('/')} kind="primary" wide>
          Sign in
        </LinkButton>
      </Door>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    send(() => api.reset(token, password));
  };
  return (
    <Door title="A new password">
      <form class="form" onSubmit={submit}>
        <ProblemNote problem={problem} />
        <Field
          label="New password"
          name="password"
          type="password"
          value={password}
          onValue={setPassword}
          autocomplete="new-password"
          hint="At least 10 characters."
          problem={problem?.fields['password']}
          required
        />
        <Button type="submit" kind="primary" size="l" wide busy={busy}>
          Set password
        </Button>
      </form>
    </Door>
  );
}

function BrokenLink() {
  return (
    <Lost icon="alert" title="This link is not whole" action={<LinkButton href="/account/forgot">Get a new one</LinkButton>}>
      Copy the whole address from the mail, or ask for a new link.
    </Lost>
  );
}

export function Verify() {
  const { done, problem, send } = useSending();
  const [token] = useState(tokenOfLink);
  useEffect(() => void (token && send(() => api.verify(token))), []);
  if (!token) return <BrokenLink />;
  if (problem)
    return (
      <Door title="This could not be confirmed">
        <ProblemNote problem={problem} />
        <LinkButton href="/account">To your account</LinkButton>
      </Door>
    );
  if (!done) return <Skeleton height="12rem" />;
  return (
    <Door title="Your e-mail is confirmed">
      <p>Thank you. Receipts and news of your orders reach you there.</p>
      <LinkButton href="/" kind="primary" wide>
        To the shop
      </LinkButton>
    </Door>
  );
}

export function Invite() {
  const [token] = useState(tokenOfLink);
  const { busy, done, problem, send } = useSending();
  if (!token) return <BrokenLink />;
  if (!me.value)
    return (
      <Door title="You are invited" lead="Sign in, or create an account with the address the invitation came to.">
        <SignInForm onDone={(person) => (me.value = person)} />
      </Door>
    );
  if (done)
    return (
      <Door title="Welcome to the team">
        <LinkButton href="/office" kind="primary" wide>
          To the back office
        </LinkButton>
      </Door>
    );
  return (
    <Door title="You are invited" lead={`to work with ${config.value?.shop.name}, as ${me.value.email}.`}>
      <ProblemNote problem={problem} />
      <Button kind="primary" size="l" wide busy={busy} onClick={() => send(async () => (me.value = await api.acceptInvitation(token)))}>
        Accept the invitation
      </Button>
    </Door>
  );
}
