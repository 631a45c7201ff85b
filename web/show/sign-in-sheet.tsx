import { Sheet } from '../ui/dialog.tsx';
import { SignInForm } from '../ui/forms/sign-in.tsx';
import { isNewHere } from '../ui/session.ts';

export interface SignInPlace {
  readonly sheet: { readonly value: string | null };
  open(sheet: null): void;
}

/** Sign in or up without leaving the page. */
export function SignInSheet({ store }: { store: SignInPlace }) {
  const open = store.sheet.value === 'sign-in';
  return (
    <Sheet open={open} onClose={() => store.open(null)} title="Join in" testid="sign-in-sheet">
      {open && (
        <div class="stack">
          <p class="muted">Talking, waiting in line and buying need an account. Watching needs none.</p>
          <SignInForm start={isNewHere() ? 'up' : 'in'} onDone={() => store.open(null)} />
        </div>
      )}
    </Sheet>
  );
}
