import { useState } from 'preact/hooks';
import { dateTime } from '../../core/format.ts';
import { Problem } from '../../core/problem.ts';
import { Button } from '../../ui/button.tsx';
import { Field, Select } from '../../ui/field.tsx';
import { ProblemNote } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { faultIn, looseIn, overtakenWords, useDraft } from './draft.ts';
import { fromLocal, toLocal } from './local-time.ts';
import { may, staff, type ShowPlan, type StaffShow } from './staff.ts';

const VISIBILITIES = [
  { value: 'public', label: 'Public: on the front page' },
  { value: 'unlisted', label: 'Unlisted: for who has the link' },
  { value: 'invited', label: 'Invited: for who has a pass' },
];

interface PlanText {
  title: string;
  description: string;
  starts: string;
  visibility: string;
  host: string;
}

const textOf = (show: StaffShow): PlanText => ({
  title: show.title,
  description: show.description,
  starts: toLocal(show.starts_at),
  visibility: show.visibility,
  host: show.host_id ?? '',
});

/** Plans a show or changes its plan. Times are the browser's own; the server keeps UTC. */
export function ShowForm(props: { show?: StaffShow; submit: string; onSave: (plan: ShowPlan) => Promise<StaffShow> }) {
  const { show, submit: label, onSave } = props;
  const [blank] = useState<PlanText>(() => ({ title: '', description: '', starts: toLocal(nextHour().toISOString()), visibility: 'public', host: '' }));
  const saved = show ? textOf(show) : blank;
  const { text, setText, settle, faultOf } = useDraft(saved);
  const change = (part: Partial<PlanText>) => setText({ ...text, ...part });
  const team = useLoaded(() => (may.seePeople() ? staff.members() : Promise.resolve({ members: [] })));
  const { busy, problem, run } = useDoing();
  const hosts = new Map(team.value?.members.map((member) => [member.user_id, member.display_name]));
  if (show?.host_id && !hosts.has(show.host_id)) hosts.set(show.host_id, show.host_name ?? 'Host');
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const title = text.title.trim();
      // A field holds no seconds: what was not touched stays to the second.
      const starts_at = show && text.starts === saved.starts ? show.starts_at : fromLocal(text.starts);
      if (!title) throw new Problem({ code: 'invalid_body', fields: { title: 'Give it a title.' } });
      if (!starts_at) throw new Problem({ code: 'invalid_body', fields: { starts_at: 'Choose a day and a time.' } });
      const now = await onSave({ title, description: text.description, starts_at, visibility: text.visibility, host_id: text.host || null });
      settle(textOf(now));
    });
  };
  return (
    <form class="form" onSubmit={submit} noValidate data-testid="show-form">
      <ProblemNote problem={looseIn(problem)} />
      <Field label="Title" name="title" value={text.title} onValue={(title) => change({ title })} maxLength={200} required problem={faultOf('title', faultIn(problem, 'title'))} testid="show-title" />
      <Field label="Description" name="description" value={text.description} onValue={(description) => change({ description })} rows={3} optional problem={faultOf('description', faultIn(problem, 'description'))} />
      <div class="pair roomy">
        <Field label="Starts" name="starts_at" type="datetime-local" value={text.starts} onValue={(starts) => change({ starts })} required hint={zone()} problem={faultOf('starts', faultIn(problem, 'starts_at'), () => overtakenWords(dateTime(show!.starts_at)))} testid="show-starts" />
        <Select
          label="Host"
          name="host_id"
          value={text.host}
          onValue={(host) => change({ host })}
          options={[{ value: '', label: 'Not chosen yet' }, ...[...hosts].map(([value, name]) => ({ value, label: name }))]}
          problem={faultOf('host', faultIn(problem, 'host_id'), (host) => overtakenWords(hosts.get(host) ?? 'Not chosen yet'))}
        />
      </div>
      <Select label="Who can watch" name="visibility" value={text.visibility} onValue={(visibility) => change({ visibility })} options={VISIBILITIES} problem={faultOf('visibility', null, (chosen) => overtakenWords(VISIBILITIES.find(({ value }) => value === chosen)?.label))} />
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} testid="save-show">
          {label}
        </Button>
      </div>
    </form>
  );
}

export function planOf({ title, description, starts_at, visibility, host_id }: StaffShow): ShowPlan {
  return { title, description, starts_at, visibility, host_id };
}

function nextHour(now: number = Date.now()): Date {
  return new Date(Math.ceil((now + 1) / 3_600_000) * 3_600_000);
}

const zone = (): string => `Your time, ${Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll('_', ' ')}`;
