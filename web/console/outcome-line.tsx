import { Icon } from '../ui/icons.tsx';
import type { DeskStore } from '../ui/desk/store.ts';

/** How the last action went: one line at the foot, always in the same place. */
export function OutcomeLine({ store }: { store: DeskStore }) {
  const outcome = store.outcome.value;
  const bad = outcome?.tone === 'danger';
  return (
    <div class={`outcome-line ${outcome ? `tone-${outcome.tone}` : ''}`}>
      <p role="status" data-testid="outcome" data-tone={outcome?.tone ?? ''}>
        {outcome && (
          <span key={outcome.key} class="clip">
            <Icon name={bad ? 'alert' : 'check'} size={16} /> {outcome.text}
          </span>
        )}
      </p>
      <p class="outcome-hint" aria-hidden="true">
        {store.may('pin') && (
          <span>
            <kbd>1</kbd>–<kbd>9</kbd> pin
          </span>
        )}
        {store.may('unpin') && (
          <span>
            <kbd>0</kbd> unpin
          </span>
        )}
        <span>
          <kbd>J</kbd>
          <kbd>K</kbd> comments
        </span>
        <span>
          <kbd>?</kbd> all keys
        </span>
      </p>
    </div>
  );
}
