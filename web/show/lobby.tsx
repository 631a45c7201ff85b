import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { countdown, dateTime } from '../core/format.ts';
import type { Show } from '../core/types.ts';
import { Avatar } from '../ui/avatar.tsx';
import { Button, LinkButton } from '../ui/button.tsx';
import { Picture } from '../ui/picture.tsx';
import { toast } from '../ui/status.tsx';
import type { ShowStore } from './store.ts';

/** Before the show: when, what, who with; the countdown runs by the server's clock. */
export function Lobby({ store, show }: { store: ShowStore; show: Show }) {
  return (
    <div class="lobby" data-testid="lobby">
      {show.cover_url && <Picture url={show.cover_url} alt="" width={1280} eager />}
      <div class="lobby-words">
        {show.host_name && (
          <p class="row lobby-host">
            <Avatar name={show.host_name} seed={show.id} size={28} /> with {show.host_name}
          </p>
        )}
        <p class="lobby-title">{show.title}</p>
        {show.starts_at && <Clock startsAt={show.starts_at} now={() => store.connection?.clock.serverNow() ?? Date.now()} />}
        {show.description && <p class="lobby-text">{show.description}</p>}
        <div class="row wrap">
          <LinkButton href={api.calendarUrl(show.id)} kind="buy" icon="calendar" download testid="calendar">
            Add to calendar
          </LinkButton>
          <Button icon="share" onClick={() => void share(show)}>
            Share
          </Button>
        </div>
      </div>
    </div>
  );
}

function Clock({ startsAt, now }: { startsAt: string; now: () => number }) {
  const target = Date.parse(startsAt);
  const [left, setLeft] = useState(() => countdown(target, now()));
  useEffect(() => {
    const timer = setInterval(() => setLeft(countdown(target, now())), 1000);
    return () => clearInterval(timer);
  }, [target]);
  const parts = [
    [left.days, 'days'],
    [left.hours, 'hours'],
    [left.minutes, 'minutes'],
    [left.seconds, 'seconds'],
  ] as const;
  return (
    <div class="lobby-when">
      <p data-testid="starts-at">{left.done ? 'Any moment now' : dateTime(startsAt)}</p>
      {!left.done && (
        <div class="clock tabular" role="timer" aria-label="Time until the show starts" data-testid="countdown">
          {parts
            .filter(([value, unit]) => value > 0 || unit !== 'days')
            .map(([value, unit]) => (
              <span key={unit} class="clock-part">
                <b>{String(value).padStart(2, '0')}</b>
                <small>{unit}</small>
              </span>
            ))}
        </div>
      )}
    </div>
  );
}

async function share(show: Show): Promise<void> {
  const data = { title: show.title, url: location.href.split('?')[0]! };
  try {
    if (navigator.share) return await navigator.share(data);
    await navigator.clipboard.writeText(data.url);
    toast('Link copied.', 'ok');
  } catch (error) {
    if ((error as Error).name !== 'AbortError') toast('The link could not be copied. Copy it from the address bar.', 'warn');
  }
}

/** Called off: what it means for who came, and for who bought. */
export function Cancelled({ show }: { show: Show }) {
  return (
    <div class="lobby" data-testid="show-cancelled">
      {show.cover_url && <Picture url={show.cover_url} alt="" width={1280} eager />}
      <div class="lobby-words">
        <p class="lobby-title">This show was cancelled</p>
        <p class="lobby-text">
          “{show.title}”, planned for {dateTime(show.starts_at)}, {show.started_at ? 'does not go on' : 'does not take place'}.
        </p>
        <p class="lobby-text">
          If you bought something in it, the shop gives your money back to your card; there is nothing you need to do. Each order says how
          far that is.
        </p>
        <div class="row wrap">
          <LinkButton href="/" kind="buy">
            See what is on next
          </LinkButton>
          <LinkButton href="/account" icon="receipt">
            Your orders
          </LinkButton>
        </div>
      </div>
    </div>
  );
}

export function Ended({ show }: { show: Show }) {
  return (
    <div class="lobby" data-testid="show-ended">
      {show.cover_url && <Picture url={show.cover_url} alt="" width={1280} eager />}
      <div class="lobby-words">
        <p class="lobby-title">Thanks for watching</p>
        <p class="lobby-text">
          “{show.title}” has ended. What was shown can still be bought while it lasts, and your orders are under your
          account.
        </p>
        <div class="row wrap">
          <LinkButton href="/" kind="buy">
            See what is on next
          </LinkButton>
        </div>
      </div>
    </div>
  );
}
