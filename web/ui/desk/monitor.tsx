import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../../core/problem.ts';
import { WhepPlayer, type WatchState } from '../../core/whep.ts';
import { IconButton, Spinner } from '../button.tsx';
import { Icon } from '../icons.tsx';
import { config } from '../session.ts';
import type { DeskStore } from './store.ts';

const STALLED_AFTER_MS = 2_500;

/** What viewers see, as they see it: muted until asked. */
export function Monitor({ store }: { store: DeskStore }) {
  const show = store.show.value!;
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<WhepPlayer | null>(null);
  const [watch, setWatch] = useState<{ state: WatchState; problem: Problem | null }>({ state: 'connecting', problem: null });
  const sound = store.kept('sound', false);
  const muted = !sound.value;
  const moving = useMoving(video);
  const ended = store.state.value === 'ended';
  const picture = store.picture.value;

  useEffect(() => {
    if (ended) return;
    const running = new WhepPlayer({
      url: show.whep_url,
      iceServers: config.value?.ice_servers ?? [],
      onStream: (stream) => {
        video.current!.srcObject = stream;
        void video.current!.play().catch(() => undefined);
      },
      onState: (state, problem) => setWatch({ state, problem }),
    });
    player.current = running;
    running.start();
    return () => running.stop();
  }, [show.whep_url, ended]);

  useEffect(() => {
    if (picture === 'live') player.current?.hurry();
  }, [picture]);

  const [title, text] = wordsOf(ended && (show.cancelled_at ? 'The show was cancelled' : 'The show has ended'), picture, watch.state, watch.problem);
  return (
    <div class="monitor on-picture" data-testid="monitor" data-moving={moving}>
      <video ref={video} muted={muted} playsInline autoPlay disableRemotePlayback aria-label="What viewers see" />
      {!(moving && !ended) && (
        <div class="monitor-words" role="status">
          {!ended && watch.state !== 'refused' ? <Spinner /> : <Icon name="camera_off" size={24} />}
          <strong>{title}</strong>
          {text && <p>{text}</p>}
        </div>
      )}
      <span class="monitor-tag">Viewers see</span>
      {moving && (
        <span class="monitor-sound">
          <IconButton
            icon={muted ? 'sound_off' : 'sound'}
            label={muted ? 'Listen' : 'Mute'}
            kind="glass"
            aria-pressed={!muted}
            onClick={() => (sound.value = muted)}
          />
        </span>
      )}
    </div>
  );
}

function wordsOf(over: string | false, picture: string, state: WatchState, problem: Problem | null): [string, string] {
  if (over) return [over, ''];
  if (state === 'refused') return [problem?.message ?? 'The picture cannot be shown', problem?.whatToDo ?? ''];
  if (picture === 'away') return ['The host’s picture is away', 'Viewers see “Back in a moment”. It goes on by itself.'];
  if (state === 'waiting' || picture === 'idle') return ['No picture yet', 'It appears here when the host goes live.'];
  if (state === 'retrying') return ['Finding the picture again', ''];
  return ['Joining', ''];
}

/** Whether frames are being painted; a hidden page paints none and stays as it was. */
export function useMoving(video: { current: HTMLVideoElement | null }): boolean {
  const [moving, setMoving] = useState(false);
  useEffect(() => {
    const element = video.current!;
    let last = 0;
    let running = true;
    const painted = () => {
      if (!running) return;
      last = performance.now();
      setMoving(true);
      element.requestVideoFrameCallback(painted);
    };
    if ('requestVideoFrameCallback' in element) element.requestVideoFrameCallback(painted);
    const timer = setInterval(() => {
      if (document.hidden) last = performance.now();
      else if (performance.now() - last > STALLED_AFTER_MS) setMoving(false);
    }, 500);
    return () => {
      running = false;
      clearInterval(timer);
    };
  }, []);
  return moving;
}
