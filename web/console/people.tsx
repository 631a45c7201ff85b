import { relative, timeOfDay } from '../core/format.ts';
import { mutedUntil } from '../core/room-state.ts';
import { Avatar } from '../ui/avatar.tsx';
import { Button } from '../ui/button.tsx';
import { useNow } from '../ui/desk/clock.ts';
import { MuteButton } from '../ui/desk/comments.tsx';
import type { DeskStore } from '../ui/desk/store.ts';
import { commentsOf, mutedOf, peopleOf, type Person } from '../ui/desk/talk.ts';
import { Badge } from '../ui/status.tsx';

/** Who may not write now, and who wrote. */
export function People({ store }: { store: DeskStore }) {
  const now = useNow(() => store.connection?.clock.serverNow() ?? Date.now(), 5_000);
  const muted = mutedOf(store.room.value, now);
  const people = peopleOf(commentsOf(store.room.value.feed));
  return (
    <div class="panel-body people" tabIndex={0} role="region" aria-label="People">
      <h3>Muted</h3>
      {muted.length === 0 && <p class="quiet-empty">Nobody is muted.</p>}
      <ul class="people-list" data-testid="muted-list">
        {muted.map(({ user_id, name, until_ms }) => (
          <li key={user_id} data-user-id={user_id}>
            <Avatar name={name ?? '?'} seed={user_id} size={30} />
            <span class="grow">
              <b class="clip">{name ?? 'Somebody who wrote earlier'}</b>
              <small>{until_ms === null ? 'For the rest of the show' : `Until ${timeOfDay(until_ms)}`}</small>
            </span>
            {store.may('unmute') && (
              <Button size="s" busy={store.busy.value.has(`mute:${user_id}`)} onClick={() => void store.unmute(user_id, name ?? 'This person')} testid="unmute">
                Unmute
              </Button>
            )}
          </li>
        ))}
      </ul>
      <h3>Wrote in this show</h3>
      {people.length === 0 && <p class="quiet-empty">Nobody has written yet.</p>}
      <ul class="people-list" data-testid="people-list">
        {people.map((person) => (
          <PersonRow key={person.user_id} person={person} store={store} now={now} />
        ))}
      </ul>
    </div>
  );
}

function PersonRow({ person, store, now }: { person: Person; store: DeskStore; now: number }) {
  const { user_id, name, badge, comments, last_ms } = person;
  const muted = mutedUntil(store.room.value, user_id, now) !== null;
  const mine = user_id === store.you.value?.user_id;
  return (
    <li data-user-id={user_id}>
      <Avatar name={name} seed={user_id} size={30} />
      <span class="grow">
        <b class="clip">
          {name} {badge && <Badge tone="brand">{badge}</Badge>}
        </b>
        <small class="tabular">
          {comments === 1 ? '1 comment' : `${comments} comments`}, last {relative(Math.min(last_ms, now), now)}
        </small>
      </span>
      {muted && <Badge tone="warn">Muted</Badge>}
      {!muted && !mine && store.may('mute') && <MuteButton store={store} userId={user_id} name={name} busy={store.busy.value.has(`mute:${user_id}`)} />}
    </li>
  );
}
