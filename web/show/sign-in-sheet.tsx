import { Sheet } from '../ui/dialog.tsx';
import { SignInForm } from '../ui/forms/sign-in.tsx';
import type { ShowStore } from './store.ts';

/** Sign in or up without leaving the picture. */
export function SignInSheet({ store }: { store: ShowStore }) {
  const open = store.sheet.value === 'sign-in';
  return (
    <Sheet open={open} onClose={() => store.open(null)} title="Join in" testid="sign-in-sheet">
      {open && (
        <div class="stack">
          <p class="muted">Sign in to talk, react and buy. Watching needs no account.</p>
          <SignInForm onDone={() => store.open(null)} />
        </div>
      )}
    </Sheet>
  );
}
