import { useState } from 'preact/hooks';
import { call } from '../../core/api.ts';
import { date, dateTime, money } from '../../core/format.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Field } from '../../ui/field.tsx';
import { Picture } from '../../ui/picture.tsx';
import { currency } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Failed } from '../../ui/start.tsx';
import { ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Lost } from '../lost.tsx';
import { changeOf, sendOver, useFreshOnReturn } from './draft.ts';
import { MoneyBack } from './money-back.tsx';
import { Asking, Back, Copyable, FilePick, Panel } from './parts.tsx';
import { RunEditor } from './run-editor.tsx';
import { planOf, ShowForm } from './show-form.tsx';
import { ShowBadges } from './shows.tsx';
import { may, staff, type StaffShow } from './staff.ts';

export function ShowDetail({ id }: { id: string }) {
  const { value, problem, reload, set } = useLoaded(() => staff.shows(), id);
  useFreshOnReturn(reload);
  if (problem && !value) return <Failed error={problem} retry={reload} />;
  if (!value) return <Skeleton height="8rem" lines={3} />;
  const show = value.shows.find((one) => one.id === id);
  if (!show)
    return (
      <Lost icon="camera_off" title="There is no such show" action={<LinkButton href="/office">All shows</LinkButton>}>
        The address may be mistyped.
      </Lost>
    );
  const changed = (next: StaffShow) => set({ shows: value.shows.map((one) => (one.id === id ? next : one)) });
  const ended = show.state === 'ended';
  return (
    <article data-testid="show" data-state={show.state}>
      <Back href="/office">Shows</Back>
      <PageHead
        title={show.title}
        lead={
          <span class="row wrap">
            <ShowBadges show={show} /> {dateTime(show.starts_at)}
          </span>
        }
        actions={<StartEnd show={show} onChanged={changed} />}
      />
      <div class="stack">
        <nav class="row wrap" aria-label="Rooms of the show">
          {may.runShows() && !ended && (
            <LinkButton icon="camera" href={`/studio/${id}`} testid="to-studio">
              Studio
            </LinkButton>
          )}
          {!ended && (
            <LinkButton icon="screen" href={`/console/${id}`} testid="to-console">
              Console
            </LinkButton>
          )}
          <LinkButton icon="external" href={`/shows/${id}`} external testid="to-viewer">
            What viewers see
          </LinkButton>
        </nav>
        {show.state !== 'scheduled' && <Sold id={id} live={show.state === 'live'} />}
        <RunEditor showId={id} ended={ended} />
        {may.editShows() && (
          <Panel title="Plan">
            <ShowForm
              show={show}
              submit="Save"
              onSave={async (plan) => {
                const now = await sendOver(() => staff.changeShow(id, changeOf(plan, planOf(show))), reload);
                changed(now);
                toast('Saved.', 'ok');
                return now;
              }}
            />
          </Panel>
        )}
        {may.editShows() && <Cover show={show} onChanged={changed} />}
        {may.runShows() && !ended && <StreamKey id={id} />}
        {may.editShows() && show.visibility === 'invited' && <Passes id={id} />}
        {may.refund() && <MoneyBack showId={id} onCancelled={() => changed({ ...show, state: 'ended', cancelled_at: new Date().toISOString() })} />}
      </div>
    </article>
  );
}

function StartEnd({ show, onChanged }: { show: StaffShow; onChanged: (show: StaffShow) => void }) {
  if (!may.runShows() || show.state === 'ended') return null;
  if (show.state === 'live')
    return (
      <Asking label="End the show" title="End the show?" confirm="End it" kind="danger" icon="stop" work={async () => onChanged(await staff.endShow(show.id))} testid="end-show">
        Viewers see that it is over. It can’t be started again.
      </Asking>
    );
  return (
    <Asking label="Start the show" title="Start the show?" confirm="Start it" kind="primary" icon="play" work={async () => onChanged(await staff.startShow(show.id))} testid="start-show">
      It moves to the front page as live. The picture comes from the studio or from OBS; until then viewers see “back in a moment”.
    </Asking>
  );
}

function Sold({ id, live }: { id: string; live: boolean }) {
  const { value, problem, reload } = useLoaded(() => staff.summary(id), id);
  if (problem) return <ProblemNote problem={problem} retry={reload} />;
  const figures: [string, string | undefined][] = [
    ['Sales', value && money(value.revenue_minor, currency.value)],
    ['Paid orders', value && String(value.paid)],
    ['Units', value && String(value.units)],
    ...(live ? ([['Watching now', value && String(value.viewers_now)]] as [string, string | undefined][]) : []),
  ].map(([label, figure]) => [label!, figure || undefined]);
  return (
    <dl class="figures card" aria-label="What it sold">
      {figures.map(([label, figure]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class="tabular">{figure ?? <Skeleton width="3rem" />}</dd>
        </div>
      ))}
    </dl>
  );
}

function Cover({ show, onChanged }: { show: StaffShow; onChanged: (show: StaffShow) => void }) {
  const { busy, problem, run } = useDoing();
  const upload = (file: File) =>
    run(async () =>
      onChanged(
        await call<StaffShow>('PUT', `/api/staff/shows/${show.id}/cover`, undefined, {
          raw: { body: file, type: file.type || 'image/jpeg' },
          deadlineMs: 60_000,
        }),
      ),
    );
  return (
    <Panel
      title="Cover"
      lead="Stands for the show on the front page. Wide pictures fit best."
      actions={<FilePick label={show.cover_url ? 'Choose another' : 'Choose a picture'} accept="image/jpeg,image/png,image/webp,image/avif" busy={busy} onFiles={([file]) => file && void upload(file)} testid="cover" />}
    >
      <ProblemNote problem={problem} />
      {show.cover_url && (
        <>
          <div class="cover">
            <Picture url={show.cover_url} alt={`Cover of ${show.title}`} width={640} />
          </div>
          <div class="row">
            <Asking
              label={
                <>
                  Remove<span class="visually-hidden"> the cover</span>
                </>
              }
              title="Remove the cover?"
              confirm="Remove"
              kind="danger"
              size="s"
              work={async () => onChanged(await staff.changeShow(show.id, { cover_image_id: null }))}
              testid="remove-cover"
            >
              The front page shows a quiet stand-in.
            </Asking>
          </div>
        </>
      )}
    </Panel>
  );
}

function StreamKey({ id }: { id: string }) {
  const { value, problem, reload } = useLoaded(async () => ({ known: await staff.key(id) }), id);
  const [key, setKey] = useState<string | null>(null);
  const making = useDoing();
  const make = async () => {
    setKey((await staff.newKey(id)).key);
    reload();
  };
  const known = value?.known;
  return (
    <Panel title="Stream from OBS" lead="Or from any other encoder that speaks WHIP. The studio needs no key." testid="stream-key-panel">
      <ProblemNote problem={problem} retry={reload} />
      <ProblemNote problem={making.problem} />
      <ol class="steps-list small">
        <li>In OBS 30 or newer, open Settings, then Stream, and choose the service WHIP.</li>
        <li>Put the address below into Server, and the stream key into Bearer Token.</li>
        <li>Use H.264 with a keyframe every 2 seconds and no B-frames.</li>
      </ol>
      <Copyable label="Server" value={`${location.origin}/whip`} testid="whip-url" />
      {key ? (
        <div role="status">
          <Copyable label="Stream key" value={key} testid="stream-key" />
          <p class="small key-once">Copy it now: it is not shown again. Whoever has it can send this show’s picture.</p>
        </div>
      ) : (
        <p class="small muted" data-testid="stream-key-hint">
          {value === null ? <Skeleton width="12rem" /> : known ? `The key in use ends in ${known.hint}, made ${date(known.created_at)}.` : 'No key has been made yet.'}
        </p>
      )}
      <div class="row">
        {known && !key ? (
          <Asking label="Make a new key" title="Make a new key?" confirm="Make a new key" icon="key" work={make} testid="rotate-key">
            The key that ends in {known.hint} stops working. An encoder that uses it can’t come back without the new one.
          </Asking>
        ) : (
          !key && (
            <Button icon="key" busy={making.busy} disabled={!value} onClick={() => void making.run(make)} testid="rotate-key">
              Make a key
            </Button>
          )
        )}
      </div>
    </Panel>
  );
}

function Passes({ id }: { id: string }) {
  const { value, problem, reload } = useLoaded(() => staff.passes(id), id);
  const [label, setLabel] = useState('');
  const [made, setMade] = useState<string | null>(null);
  const making = useDoing();
  const submit = (event: Event) => {
    event.preventDefault();
    void making.run(async () => {
      setMade((await staff.addPass(id, label.trim())).url);
      setLabel('');
      reload();
    });
  };
  return (
    <Panel title="Passes" lead="A link that lets people in. Who has it can pass it on; take it back and it stops working." testid="passes">
      <ProblemNote problem={problem ?? making.problem} retry={reload} />
      {made && (
        <div role="status">
          <Copyable label="Link" value={made} testid="pass-url" />
          <p class="small key-once">Copy it now: it is not shown again.</p>
        </div>
      )}
      <ul class="list">
        {value?.passes.map((pass) => (
          <li key={pass.id} class="row spread">
            <span class="stacked">
              <b>{pass.label || 'Without a name'}</b>
              <span class="muted small">made {date(pass.created_at)}</span>
            </span>
            <Asking
              label="Take back"
              title="Take this pass back?"
              confirm="Take back"
              kind="danger"
              size="s"
              work={async () => {
                await staff.revokePass(id, pass.id);
                reload();
              }}
            >
              The link stops opening the show.
            </Asking>
          </li>
        ))}
      </ul>
      <form class="inline-form" onSubmit={submit}>
        <Field label="For whom" name="label" value={label} onValue={setLabel} maxLength={200} optional />
        <Button type="submit" icon="link" busy={making.busy} testid="add-pass">
          Make a link
        </Button>
      </form>
    </Panel>
  );
}
