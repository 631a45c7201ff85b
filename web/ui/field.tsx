import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import { IconButton } from './button.tsx';
import { Icon } from './icons.tsx';

interface FieldFrame {
  label: string;
  hint?: ComponentChildren;
  /** What is wrong with it; shown under the field and tied to it. */
  problem?: string | null;
  optional?: boolean;
}

function Frame(props: FieldFrame & { id: string; children: ComponentChildren }) {
  const { id, label, hint, problem, optional, children } = props;
  return (
    <div class={`field${problem ? ' wrong' : ''}`}>
      <label for={id}>
        {label}
        {optional && <span class="optional"> optional</span>}
      </label>
      {children}
      {problem ? (
        <p class="field-problem" id={`${id}-note`}>
          <Icon name="alert" size={15} /> {problem}
        </p>
      ) : (
        hint && (
          <p class="field-hint" id={`${id}-note`}>
            {hint}
          </p>
        )
      )}
    </div>
  );
}

export interface FieldProps extends FieldFrame {
  name: string;
  value: string;
  onValue: (value: string) => void;
  type?: 'text' | 'email' | 'password' | 'tel' | 'search' | 'number' | 'datetime-local' | 'url';
  autocomplete?: string;
  inputmode?: 'text' | 'decimal' | 'numeric' | 'email' | 'tel' | 'search';
  required?: boolean;
  disabled?: boolean;
  maxLength?: number;
  minLength?: number;
  placeholder?: string;
  /** Text before the input, such as a currency. */
  prefix?: string;
  rows?: number;
  testid?: string;
  /** Has the focus when the dialog around it opens. */
  autofocus?: boolean;
}

/** A labelled text input, password with a show button, or (with `rows`) a textarea. */
export function Field(props: FieldProps) {
  const { label, hint, problem, optional, onValue, testid, prefix, rows, type = 'text', ...input } = props;
  const id = useId();
  const [shown, setShown] = useState(false);
  const common = {
    ...input,
    id,
    class: 'input',
    'data-testid': testid,
    'aria-invalid': problem ? ('true' as const) : undefined,
    'aria-describedby': problem || hint ? `${id}-note` : undefined,
    onInput: (event: Event) => onValue((event.currentTarget as HTMLInputElement).value),
  };
  return (
    <Frame id={id} label={label} hint={hint} problem={problem} optional={optional}>
      {rows ? (
        <textarea {...common} rows={rows} />
      ) : (
        <div class="input-row">
          {prefix && <span class="input-prefix">{prefix}</span>}
          <input {...common} type={(shown ? 'text' : type) as 'text'} />
          {type === 'password' && (
            <IconButton
              icon={shown ? 'eye_off' : 'eye'}
              label={shown ? 'Hide password' : 'Show password'}
              onClick={() => setShown(!shown)}
            />
          )}
        </div>
      )}
    </Frame>
  );
}

export interface SelectProps extends FieldFrame {
  name: string;
  value: string;
  onValue: (value: string) => void;
  options: readonly { value: string; label: string; disabled?: boolean }[];
  autocomplete?: string;
  disabled?: boolean;
  testid?: string;
}

export function Select(props: SelectProps) {
  const { label, hint, problem, optional, onValue, options, testid, ...rest } = props;
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} problem={problem} optional={optional}>
      <div class="input-row">
        <select
          {...rest}
          id={id}
          class="input"
          data-testid={testid}
          aria-invalid={problem ? 'true' : undefined}
          aria-describedby={problem || hint ? `${id}-note` : undefined}
          onChange={(event) => onValue(event.currentTarget.value)}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value} disabled={option.disabled}>
              {option.label}
            </option>
          ))}
        </select>
        <Icon name="chevron_down" size={18} />
      </div>
    </Frame>
  );
}

export function Checkbox(props: {
  label: ComponentChildren;
  checked: boolean;
  onValue: (checked: boolean) => void;
  name?: string;
  disabled?: boolean;
  testid?: string;
}) {
  const { label, checked, onValue, name, disabled, testid } = props;
  return (
    <label class="checkbox">
      <input
        type="checkbox"
        name={name}
        checked={checked}
        disabled={disabled}
        data-testid={testid}
        onChange={(event) => onValue(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

/** One of a few, as a row of chips: a size, a colour. */
export function Choices<T extends string>(props: {
  legend: string;
  name: string;
  value: T | null;
  options: readonly { value: T; label: ComponentChildren; note?: string; disabled?: boolean }[];
  onValue: (value: T) => void;
  hideLegend?: boolean;
}) {
  const { legend, name, value, options, onValue, hideLegend } = props;
  return (
    <fieldset class="choices">
      <legend class={hideLegend ? 'visually-hidden' : undefined}>{legend}</legend>
      <div class="row wrap">
        {options.map((option) => (
          <label key={option.value} class="choice">
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              disabled={option.disabled}
              onChange={() => onValue(option.value)}
            />
            <span>
              <b>{option.label}</b>
              {option.note && <small>{option.note}</small>}
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** How many: minus, number, plus, within bounds. */
export function Stepper(props: {
  label: string;
  value: number;
  min?: number;
  max: number;
  onValue: (value: number) => void;
  testid?: string;
}) {
  const { label, value, min = 1, max, onValue, testid } = props;
  return (
    <div class="stepper" role="group" aria-label={label} data-testid={testid}>
      <IconButton icon="minus" label={`Less ${label.toLowerCase()}`} disabled={value <= min} onClick={() => onValue(value - 1)} />
      <output class="tabular" aria-live="polite">
        {value}
      </output>
      <IconButton icon="plus" label={`More ${label.toLowerCase()}`} disabled={value >= max} onClick={() => onValue(value + 1)} />
    </div>
  );
}
