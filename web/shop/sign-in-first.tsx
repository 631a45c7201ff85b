import { SignInForm } from '../ui/forms/sign-in.tsx';

/** In place of a page that is for signed-in people: signing in, and then the page itself. */
export function SignInFirst(props: { lead: string }) {
  return (
    <section class="door card" data-testid="sign-in-first">
      <h1>Sign in</h1>
      <p class="muted">{props.lead}</p>
      <SignInForm onDone={() => location.reload()} />
    </section>
  );
}
