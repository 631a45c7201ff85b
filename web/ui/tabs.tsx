import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

export interface Tab<Name extends string> {
  name: Name;
  title: string;
  count?: number;
  panel: () => ComponentChildren;
}

/** Tabs with arrow keys (ARIA authoring practices); only the chosen panel is rendered. */
export function Tabs<Name extends string>(props: {
  label: string;
  tabs: readonly Tab<Name>[];
  value: Name;
  onValue: (name: Name) => void;
}) {
  const { label, tabs, value, onValue } = props;
  const id = useId();
  const move = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    const at = tabs.findIndex((tab) => tab.name === value);
    const next = tabs[(at + step + tabs.length) % tabs.length]!;
    onValue(next.name);
    document.getElementById(`${id}-${next.name}`)?.focus();
    event.preventDefault();
  };
  const chosen = tabs.find((tab) => tab.name === value) ?? tabs[0]!;
  return (
    <div class="tabs">
      <div class="tab-list" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map((tab) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            id={`${id}-${tab.name}`}
            aria-selected={tab.name === chosen.name}
            aria-controls={`${id}-panel`}
            tabIndex={tab.name === chosen.name ? 0 : -1}
            onClick={() => onValue(tab.name)}
          >
            {tab.title}
            {tab.count ? <span class="tab-count tabular">{tab.count}</span> : null}
          </button>
        ))}
      </div>
      <div class="tab-panel" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${chosen.name}`}>
        {chosen.panel()}
      </div>
    </div>
  );
}
