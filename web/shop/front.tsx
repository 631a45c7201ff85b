/** The shop's front: what is on air, what comes next, what can be bought any time. */

import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { compact, countdown, dateTime } from '../core/format.ts';
import { asProblem, type Problem } from '../core/problem.ts';
import type { Product, ShowCard, ShowItem } from '../core/types.ts';
import { LinkButton } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { Picture } from '../ui/picture.tsx';
import { ProductCard } from '../ui/product-card.tsx';
import { config, currency } from '../ui/session.ts';
import { Failed } from '../ui/start.tsx';
import { Badge, ProblemNote, Skeleton } from '../ui/status.tsx';
import { useLoaded } from './loaded.ts';

interface Shows {
  live: ShowCard[];
  upcoming: ShowCard[];
  ended: ShowCard[];
}

const isToCome = (show: ShowCard, nowMs: number) => !!show.cancelled_at && Date.parse(show.starts_at) > nowMs;

/** What is planned, and what would still be to come, had it not been cancelled. */
export function comingUp({ upcoming, ended }: Shows, nowMs: number): ShowCard[] {
  return [...upcoming, ...ended.filter((show) => isToCome(show, nowMs))].sort((a, b) => Date.parse(a.starts_at) - Date.parse(b.starts_at));
}

const REFRESH_MS = 15_000;
const FEATURED = 8;

export function Front() {
  const [shows, setShows] = useState<Shows | null>(null);
  const featured = useLoaded(() => api.products());
  const [problem, setProblem] = useState<Problem | null>(null);
  const load = () => {
    setProblem(null);
    api.shows().then(setShows, (error) => setProblem(asProblem(error)));
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => document.visibilityState === 'visible' && load(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  if (problem && !shows) return <Failed error={problem} retry={load} />;
  return (
    <div class="front">
      <h1 class="visually-hidden">{config.value?.shop.name}</h1>
      <OnAir shows={shows} />
      {shows && <Upcoming shows={comingUp(shows, Date.now())} />}
      {/* Below what is on: it waits for that, so that nothing is pushed down. */}
      {shows && (featured.problem ? <ProblemNote problem={featured.problem} retry={featured.reload} /> : <Featured products={featured.value?.products.slice(0, FEATURED) ?? null} />)}
      {shows && <Ended shows={shows.ended.filter((show) => !isToCome(show, Date.now()))} />}
    </div>
  );
}

function OnAir(props: { shows: Shows | null }) {
  const { shows } = props;
  if (!shows) return <Skeleton height="clamp(22rem, 52vh, 32rem)" />;
  if (shows.live.length === 0) return <NothingOnAir next={shows.upcoming[0]} />;
  return (
    <section aria-label="On air" class="on-air">
      {shows.live.map((show) => (
        <LiveCard key={show.id} show={show} />
      ))}
    </section>
  );
}

function LiveCard(props: { show: ShowCard }) {
  const { show } = props;
  return (
    <article class="live-card" data-testid="live-card">
      <Poster show={show} />
      <div class="live-text">
        <div class="row wrap">
          <Badge tone="live">Live</Badge>
          {show.viewers > 0 && (
            <span class="row small">
              <Icon name="eye" size={16} /> {compact(show.viewers)} watching
            </span>
          )}
        </div>
        <h2>
          <a href={`/shows/${show.id}`} class="cover-link">
            {show.title}
          </a>
        </h2>
        {show.description && <p>{show.description}</p>}
        <div class="row wrap">
          {show.host_name && <span class="small">with {show.host_name}</span>}
          <span class="button buy l" aria-hidden="true">
            <Icon name="play" size={20} /> Watch and shop
          </span>
        </div>
      </div>
    </article>
  );
}

/** The show's cover; without one, the first things it sells. */
function Poster(props: { show: ShowCard }) {
  const { show } = props;
  const [items, setItems] = useState<ShowItem[]>([]);
  useEffect(() => {
    if (!show.cover_url) api.show(show.id).then((full) => setItems(full.items), () => undefined);
  }, [show.id, show.cover_url]);
  if (show.cover_url)
    return (
      <div class="live-cover">
        <Picture url={show.cover_url} alt="" width={1280} sizes="(max-width: 60rem) 100vw, 60rem" eager />
      </div>
    );
  const images = items.flatMap(({ product }) => product.images.slice(0, 1)).slice(0, 4);
  return (
    <div class={`live-cover mosaic of-${images.length}`} aria-hidden="true">
      {images.map((image) => (
        <Picture key={image.id} url={image.url} alt="" width={640} sizes="(max-width: 60rem) 50vw, 20rem" eager />
      ))}
    </div>
  );
}

function NothingOnAir(props: { next: ShowCard | undefined }) {
  const { next } = props;
  return (
    <section class="off-air" data-testid="off-air">
      <h2>Nothing is on air right now</h2>
      {next ? (
        <p>
          Next: <a href={`/shows/${next.id}`}>{next.title}</a>, {dateTime(next.starts_at)}, <Until startsAt={next.starts_at} />.
        </p>
      ) : (
        <p class="muted">No show is planned yet. The shop is open all the same.</p>
      )}
      <div class="row wrap">
        {next && (
          <LinkButton href={api.calendarUrl(next.id)} kind="primary" icon="calendar" download>
            Remind me
          </LinkButton>
        )}
        <LinkButton href="/products">Browse the shop</LinkButton>
      </div>
    </section>
  );
}

function Upcoming(props: { shows: ShowCard[] }) {
  if (props.shows.length === 0) return null;
  return (
    <section class="band" aria-labelledby="upcoming">
      <h2 id="upcoming">Coming up</h2>
      <ul class="upcoming">
        {props.shows.map((show) => (
          <li key={show.id} class="upcoming-show card">
            {show.cover_url && (
              <div class="upcoming-cover">
                <Picture url={show.cover_url} alt="" width={640} sizes="20rem" />
              </div>
            )}
            <When startsAt={show.starts_at} cancelled={!!show.cancelled_at} />
            <h3>
              <a href={`/shows/${show.id}`} class="cover-link">
                {show.title}
              </a>
            </h3>
            {show.description && <p class="muted small">{show.description}</p>}
            {show.cancelled_at ? (
              <p class="small">It does not take place. What was paid in it is given back.</p>
            ) : (
              <LinkButton href={api.calendarUrl(show.id)} size="s" icon="calendar" download>
                Remind me
              </LinkButton>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function When(props: { startsAt: string; cancelled: boolean }) {
  return (
    <p class="upcoming-when small tabular">
      <time dateTime={props.startsAt}>{dateTime(props.startsAt)}</time>
      {props.cancelled ? (
        <Badge tone="warn">Cancelled</Badge>
      ) : (
        <span class="muted">
          <Until startsAt={props.startsAt} />
        </span>
      )}
    </p>
  );
}

/** How long it is until then; ticks once a minute. */
function Until(props: { startsAt: string }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 60_000);
    return () => clearInterval(timer);
  }, []);
  const left = countdown(Date.parse(props.startsAt), now);
  const words = left.days > 0 ? `in ${left.days} d ${left.hours} h` : left.hours > 0 ? `in ${left.hours} h ${left.minutes} min` : `in ${left.minutes} min`;
  return <>{Date.parse(props.startsAt) > now ? words : 'about to start'}</>;
}

function Featured(props: { products: Product[] | null }) {
  const { products } = props;
  if (products && products.length === 0) return null;
  return (
    <section class="band" aria-labelledby="featured">
      <div class="row spread">
        <h2 id="featured">From the shop</h2>
        <a href="/products">See everything</a>
      </div>
      <div class="tiles">
        {products
          ? products.map((product) => (
              <ProductCard key={product.id} product={product} currency={currency.value} href={`/products/${product.handle}`} />
            ))
          : [1, 2, 3, 4].map((n) => <Skeleton key={n} height="18rem" />)}
      </div>
    </section>
  );
}

function Ended(props: { shows: ShowCard[] }) {
  if (props.shows.length === 0) return null;
  return (
    <section class="band" aria-labelledby="ended">
      <h2 id="ended">Past shows</h2>
      <ul class="ended">
        {props.shows.slice(0, 6).map((show) => (
          <li key={show.id} class="row spread">
            <span class="row wrap">
              <a href={`/shows/${show.id}`}>{show.title}</a>
              {show.cancelled_at && <Badge>Cancelled</Badge>}
            </span>
            <time class="muted small" dateTime={show.started_at ?? show.starts_at}>
              {dateTime(show.started_at ?? show.starts_at)}
            </time>
          </li>
        ))}
      </ul>
    </section>
  );
}
