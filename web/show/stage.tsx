import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../core/problem.ts';
import { WhepPlayer, type WatchState } from '../core/whep.ts';
import { Button, Spinner } from '../ui/button.tsx';
import { config } from '../ui/session.ts';
import { Picture } from '../ui/picture.tsx';
import { Cancelled, Ended, Lobby } from './lobby.tsx';
import { PictureTools } from './picture-tools.tsx';
import { Floating } from './reactions.tsx';
import type { ShowStore } from './store.ts';

declare global {
  interface Window {
    /** For browser tests and reports: what the picture is doing. */
    __hawker?: { stats: () => Promise<RTCStatsReport | null>; picture: { frames: number; rtp: number | null } };
  }
}

const STALLED_AFTER_MS = 2_500;

/** The picture and what stands in its place: lobby, "back in a moment", the end. */
export function Stage({ store }: { store: ShowStore }) {
  const state = store.state.value;
  const show = store.show.value;
  if (!show) return <div class="picture-box" aria-busy="true" />;
  if (state !== 'live') store.takePrepared()?.peer.close();
  if (state === 'scheduled') return <Lobby store={store} show={show} />;
  if (state === 'ended') return store.cancelled.value ? <Cancelled show={show} /> : <Ended show={show} />;
  return <LivePicture store={store} />;
}

function LivePicture({ store }: { store: ShowStore }) {
  const show = store.show.value!;
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<WhepPlayer | null>(null);
  const [watch, setWatch] = useState<{ state: WatchState; problem: Problem | null }>({ state: 'connecting', problem: null });
  const shape = store.shape.value;
  const [moving, setMoving] = useState(false);
  const [muted, setMuted] = useState(true);
  const [stopped, setStopped] = useState(false);

  useEffect(() => {
    const element = video.current!;
    const running = new WhepPlayer({
      url: show.whep_url,
      token: store.pass,
      iceServers: config.value!.ice_servers,
      prepared: store.takePrepared(),
      onStream: (stream) => {
        element.srcObject = stream;
        element.play().then(
          () => setStopped(false),
          // Some phones in power saving start nothing by themselves.
          (error) => error.name === 'NotAllowedError' && setStopped(true),
        );
      },
      onState: (state, problem) => setWatch({ state, problem }),
    });
    player.current = running;
    const frames = watchFrames(element, store, setMoving);
    window.__hawker = { stats: () => running.stats(), picture: frames.picture };
    running.start();
    return () => {
      frames.stop();
      running.stop();
      store.shape.value = 'none';
      delete window.__hawker;
    };
  }, [show.whep_url]);

  const picture = store.picture.value;
  useEffect(() => {
    if (picture === 'live') player.current?.hurry();
  }, [picture]);

  const sound = (on: boolean) => {
    video.current!.muted = !on;
    setMuted(!on);
    if (on) void video.current!.play().catch(() => undefined);
  };

  return (
    <div
      class={`picture-box ${shape}`}
      onDblClick={() => store.react('heart')}
      onClick={(event) => event.target === video.current && muted && sound(true)}
    >
      {shape === 'none' && show.cover_url && <Picture url={show.cover_url} alt="" width={640} eager />}
      <video
        ref={video}
        class="video"
        playsInline
        autoPlay
        muted
        disableRemotePlayback
        data-testid="video"
        data-moving={moving}
        aria-label={`Live picture: ${show.title}`}
        onResize={(event) => {
          const { videoWidth, videoHeight } = event.currentTarget;
          if (videoWidth) store.shape.value = videoWidth > videoHeight ? 'broad' : 'tall';
        }}
      />
      <div class="shade" />
      {!moving && <Away state={watch.state} problem={watch.problem} picture={picture} seen={shape !== 'none'} />}
      {stopped && (
        <Button kind="buy" size="l" icon="play" onClick={() => void video.current!.play().then(() => setStopped(false))}>
          Play
        </Button>
      )}
      <PictureTools video={video} muted={muted} moving={moving} onSound={sound} />
      <Floating store={store} />
    </div>
  );
}

/** Counts painted frames, keeps the newest one's RTP time, and notices when they stop coming. */
function watchFrames(element: HTMLVideoElement, store: ShowStore, setMoving: (moving: boolean) => void) {
  const picture = { frames: 0, rtp: null as number | null };
  let last = 0;
  let moving = false;
  let stopped = false;
  const tell = (now: boolean) => {
    if (now !== moving) setMoving((moving = now));
  };
  const painted = (_: number, frame: VideoFrameCallbackMetadata) => {
    if (stopped) return;
    if (picture.frames++ === 0) performance.mark('first-frame');
    last = performance.now();
    picture.rtp = store.mediaTime.rtp = frame.rtpTimestamp ?? null;
    tell(true);
    element.requestVideoFrameCallback(painted);
  };
  // Without frame callbacks the element's own clock has to do.
  if ('requestVideoFrameCallback' in element) element.requestVideoFrameCallback(painted);
  else (element as HTMLVideoElement).ontimeupdate = () => ((last = performance.now()), tell(true));
  const timer = setInterval(() => {
    // A hidden page paints nothing; that is no stall.
    if (document.hidden) last = performance.now();
    else if (moving && performance.now() - last > STALLED_AFTER_MS) tell(false);
  }, 500);
  return {
    picture,
    stop: () => {
      stopped = true;
      clearInterval(timer);
    },
  };
}

/** Why there is no moving picture, in words a viewer can use. */
function Away(props: { state: WatchState; problem: Problem | null; picture: string; seen: boolean }) {
  const { state, problem, picture, seen } = props;
  const [title, text] = awayWords(state, problem, picture, seen);
  return (
    <div class="away" role="status" data-testid={title === 'Back in a moment' ? 'back-in-a-moment' : 'no-picture'}>
      {state !== 'refused' && <Spinner />}
      <strong>{title}</strong>
      {text && <p>{text}</p>}
    </div>
  );
}

function awayWords(state: WatchState, problem: Problem | null, picture: string, seen: boolean): [string, string] {
  if (state === 'refused') return [problem?.message ?? 'The picture cannot be shown', problem?.whatToDo ?? ''];
  if (picture === 'away') return ['Back in a moment', 'The host will be right back. You can keep talking and buying.'];
  if (state === 'waiting') return ['The picture is about to start', 'The host is getting ready.'];
  if (state === 'retrying') return ['Finding the picture again', 'Comments and buying go on meanwhile.'];
  if (seen) return ['Back in a moment', 'The picture is held up. It goes on by itself.'];
  return ['Joining', ''];
}
