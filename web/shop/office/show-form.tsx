import { useState } from 'preact/hooks';
import { Problem } from '../../core/problem.ts';
import { Button } from '../../ui/button.tsx';
import { Field, Select } from '../../ui/field.tsx';
import { ProblemNote } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { fromLocal, toLocal } from './local-time.ts';
import { may, staff, type ShowPlan, type StaffShow } from './staff.ts';

const VISIBILITIES = [
  { value: 'public', label: 'Public: on the front page' },
  { value: 'unlisted', label: 'Unlisted: for who has the link' },
  { value: 'invited', label: 'Invited: for who has a pass' },
];

/** Plans a show or changes its plan. Times are the browser's own; the server keeps UTC. */
export function ShowForm(props: { show?: StaffShow; submit: string; onSave: (plan: ShowPlan) => Promise<unknown> }) {
  const { show, submit: label, onSave } = props;
  const [title, setTitle] = useState(show?.title ?? '');
  const [description, setDescription] = useState(show?.description ?? '');
  const [starts, setStarts] = useState(() => toLocal(show?.starts_at ?? nextHour().toISOString()));
  const [visibility, setVisibility] = useState(show?.visibility ?? 'public');
  const [host, setHost] = useState(show?.host_id ?? '');
  const team = useLoaded(() => (may.seePeople() ? staff.members() : Promise.resolve({ members: [] })));
  const { busy, problem, run } = useDoing();
  const hosts = new Map(team.value?.members.map((member) => [member.user_id, member.display_name]));
  if (show?.host_id && !hosts.has(show.host_id)) hosts.set(show.host_id, show.host_name ?? 'Host');
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const starts_at = fromLocal(starts);
      if (!title.trim()) throw new Problem({ code: 'invalid_body', fields: { title: 'Give it a title.' } });
      if (!starts_at) throw new Problem({ code: 'invalid_body', fields: { starts_at: 'Choose a day and a time.' } });
      await onSave({ title: title.trim(), description, starts_at, visibility, host_id: host || null });
    });
  };
  return (
    <form class="form" onSubmit={submit} noValidate data-testid="show-form">
      <ProblemNote problem={problem && !Object.keys(problem.fields).length ? problem : null} />
      <Field label="Title" name="title" value={title} onValue={setTitle} maxLength={200} required problem={problem?.fields['title'] ?? null} testid="show-title" />
      <Field label="Description" name="description" value={description} onValue={setDescription} rows={3} optional problem={problem?.fields['description'] ?? null} />
      <div class="pair roomy">
        <Field label="Starts" name="starts_at" type="datetime-local" value={starts} onValue={setStarts} required hint={zone()} problem={problem?.fields['starts_at'] ?? null} testid="show-starts" />
        <Select
          label="Host"
          name="host_id"
          value={host}
          onValue={setHost}
          options={[{ value: '', label: 'Not chosen yet' }, ...[...hosts].map(([value, name]) => ({ value, label: name }))]}
          problem={problem?.fields['host_id'] ?? null}
        />
      </div>
      <Select label="Who can watch" name="visibility" value={visibility} onValue={setVisibility} options={VISIBILITIES} />
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} testid="save-show">
          {label}
        </Button>
      </div>
    </form>
  );
}

/** The plan as this form would send it back. */
export function planOf({ title, description, starts_at, visibility, host_id }: StaffShow): ShowPlan {
  return { title, description, starts_at: fromLocal(toLocal(starts_at)) ?? starts_at, visibility, host_id };
}

function nextHour(now: number = Date.now()): Date {
  return new Date(Math.ceil((now + 1) / 3_600_000) * 3_600_000);
}

const zone = (): string => `Your time, ${Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll('_', ' ')}`;
