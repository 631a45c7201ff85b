import type { ComponentChildren } from 'preact';
import { LinkButton } from '../button.tsx';
import { SignInForm } from '../forms/sign-in.tsx';
import { me, signOut } from '../session.ts';
import { Shell } from '../shell.tsx';
import { Failed } from '../start.tsx';
import { Empty, Skeleton, toastProblem } from '../status.tsx';
import type { DeskStore } from './store.ts';

/** Lets in who may work here; says to everyone else what is missing. */
export function Gate(props: { store: DeskStore; place: string; wants: string; children: ComponentChildren }) {
  const { store, place, wants, children } = props;
  const phase = store.phase.value;
  if (phase === 'open') return <>{children}</>;
  return (
    <Shell place={place}>
      {phase !== 'signed_out' && <h1 class="visually-hidden">{place}</h1>}
      {phase === 'loading' && <Loading />}
      {phase === 'signed_out' && (
        <div class="gate" data-testid="gate-sign-in">
          <h1>Sign in</h1>
          <p class="muted">The {place.toLowerCase()} is for the people who make the show.</p>
          <SignInForm onDone={() => void store.load()} />
        </div>
      )}
      {phase === 'barred' && <Barred store={store} place={place} wants={wants} />}
      {phase === 'failed' && <NotShown store={store} />}
    </Shell>
  );
}

function Loading() {
  return (
    <div class="stack" aria-busy="true" data-testid="loading">
      <span class="visually-hidden">Loading</span>
      <Skeleton height="2rem" width="40%" />
      <Skeleton height="24rem" />
    </div>
  );
}

function Barred({ store, place, wants }: { store: DeskStore; place: string; wants: string }) {
  const can = store.show.value?.can;
  const elsewhere = place === 'Studio' && can && (can.produce || can.moderate);
  return (
    <div data-testid="gate-barred">
      <Empty
        icon="lock"
        title={`The ${place.toLowerCase()} of this show is not yours`}
        action={
          <div class="row wrap gate-ways">
            {elsewhere && (
              <LinkButton kind="primary" href={`/console/${store.options.showId}`}>
                Open the console
              </LinkButton>
            )}
            <LinkButton href={`/shows/${store.options.showId}`}>Watch the show</LinkButton>
            <button type="button" class="link-button" onClick={() => void signOut().then(() => store.load(), toastProblem)}>
              Use another account
            </button>
          </div>
        }
      >
        You are signed in as {me.value?.display_name}. {wants} Ask the shop’s owner for it.
      </Empty>
    </div>
  );
}

function NotShown({ store }: { store: DeskStore }) {
  const problem = store.problem.value;
  if (problem?.status === 404)
    return (
      <Empty icon="camera_off" title="There is no such show" action={<LinkButton href="/office">Back office</LinkButton>}>
        The link may be old or mistyped.
      </Empty>
    );
  return <Failed error={problem} retry={() => void store.load()} />;
}
