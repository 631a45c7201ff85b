import { useState } from 'preact/hooks';
import { dateTime } from '../../core/format.ts';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { Picture } from '../../ui/picture.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Empty, ProblemNote, Skeleton } from '../../ui/status.tsx';
import { useLoaded } from '../loaded.ts';
import { ShowForm } from './show-form.tsx';
import { may, staff, type ShowPlan, type StaffShow } from './staff.ts';

const GROUPS = [
  { state: 'live', title: 'On air' },
  { state: 'scheduled', title: 'Planned' },
  { state: 'ended', title: 'Past' },
] as const;

export function Shows() {
  const { value, problem, reload } = useLoaded(() => staff.shows());
  const [planning, setPlanning] = useState(false);
  const plan = may.editShows() && (
    <Button kind="primary" icon="plus" aria-haspopup="dialog" onClick={() => setPlanning(true)} testid="plan-show">
      Plan a show
    </Button>
  );
  return (
    <>
      <PageHead title="Shows" actions={value?.shows.length ? plan : null} />
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="5.5rem" lines={3} />}
      {value?.shows.length === 0 && (
        <Empty icon="camera" title="No show yet" action={plan}>
          Plan the first one: a title and a time are enough.
        </Empty>
      )}
      <div class="stack show-groups">
        {GROUPS.map(({ state, title }) => {
          const shows = value?.shows.filter((show) => show.state === state) ?? [];
          // What comes next stands first; what was, the latest first.
          if (state === 'scheduled') shows.reverse();
          return (
            shows.length > 0 && (
              <section key={state} class="stack" aria-label={title}>
                <h2>{title}</h2>
                <ul class="show-rows">
                  {shows.map((show) => (
                    <ShowRow key={show.id} show={show} />
                  ))}
                </ul>
              </section>
            )
          );
        })}
      </div>
      <Sheet open={planning} onClose={() => setPlanning(false)} title="Plan a show" testid="plan-sheet">
        {planning && <ShowForm submit="Plan it" onSave={planned} />}
      </Sheet>
    </>
  );
}

async function planned(plan: ShowPlan): Promise<StaffShow> {
  const made = await staff.addShow(plan);
  location.assign(`/office/shows/${made.id}`);
  return made;
}

function ShowRow({ show }: { show: StaffShow }) {
  const open = show.state !== 'ended';
  return (
    <li class="card show-row" data-testid="show-row" data-state={show.state}>
      {show.cover_url && (
        <span class="thumb">
          <Picture url={show.cover_url} alt="" width={96} />
        </span>
      )}
      <div class="grow stacked">
        <h3>
          <a class="cover-link" href={`/office/shows/${show.id}`}>
            {show.title}
          </a>
        </h3>
        <span class="row wrap small muted">
          <time dateTime={show.starts_at}>{dateTime(show.starts_at)}</time>
          {show.host_name && <span>with {show.host_name}</span>}
          {show.state === 'live' && <span>{show.viewers} watching</span>}
        </span>
      </div>
      <ShowBadges show={show} />
      {open && (
        <div class="show-row-links">
          {may.runShows() && (
            <LinkButton size="s" icon="camera" href={`/studio/${show.id}`}>
              Studio<span class="visually-hidden"> of {show.title}</span>
            </LinkButton>
          )}
          <LinkButton size="s" icon="screen" href={`/console/${show.id}`}>
            Console<span class="visually-hidden"> of {show.title}</span>
          </LinkButton>
        </div>
      )}
    </li>
  );
}

export function ShowBadges({ show }: { show: StaffShow }) {
  return (
    <span class="row wrap badges">
      {show.state === 'live' && <Badge tone="live">Live</Badge>}
      {show.state === 'live' && show.picture === 'away' && <Badge tone="warn">No picture</Badge>}
      {show.state === 'ended' && (show.cancelled_at ? <Badge tone="warn">Cancelled</Badge> : <Badge>Ended</Badge>)}
      {show.state === 'scheduled' && <Badge tone="brand">Planned</Badge>}
      {show.visibility !== 'public' && <Badge icon="lock">{show.visibility === 'unlisted' ? 'Unlisted' : 'Invited'}</Badge>}
    </span>
  );
}
