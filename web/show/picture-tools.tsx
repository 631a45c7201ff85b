import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { IconButton } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { toast } from '../ui/status.tsx';

interface PictureToolsProps {
  video: RefObject<HTMLVideoElement | null>;
  muted: boolean;
  moving: boolean;
  onSound: (on: boolean) => void;
}

/** Sound; and where the browser can, the picture in a window of its own or, with what is sold on it, over the whole screen. */
export function PictureTools({ video, muted, moving, onSound }: PictureToolsProps) {
  return (
    <div class="picture-tools">
      {document.pictureInPictureEnabled && moving && <Floated video={video} />}
      {document.fullscreenEnabled && <Whole video={video} />}
      <span data-shortcut="sound">
        <button type="button" class="sound-button" data-testid="sound" aria-pressed={!muted} aria-keyshortcuts="m" onClick={() => onSound(muted)}>
          <Icon name={muted ? 'sound_off' : 'sound'} size={20} />
          <span class={muted && moving ? '' : 'visually-hidden'}>{muted ? 'Tap for sound' : 'Sound on'}</span>
        </button>
      </span>
    </div>
  );
}

function Floated({ video }: Pick<PictureToolsProps, 'video'>) {
  const on = useIs(video, ['enterpictureinpicture', 'leavepictureinpicture'], (element) => document.pictureInPictureElement === element);
  const turn = () => (on ? document.exitPictureInPicture() : video.current!.requestPictureInPicture());
  return (
    <IconButton
      icon="float"
      label="Picture in a small window"
      kind="glass"
      aria-pressed={on}
      onClick={() => turn().catch(() => toast('The browser keeps the picture here.', 'warn'))}
      testid="float"
    />
  );
}

function Whole({ video }: Pick<PictureToolsProps, 'video'>) {
  const on = useIs(video, ['fullscreenchange'], (element) => !!document.fullscreenElement?.contains(element));
  // The stage, not the video alone: what is sold lies over the picture there, too.
  const turn = () => (on ? document.exitFullscreen() : video.current!.closest('.stage')!.requestFullscreen());
  return (
    <span class="whole" data-shortcut="fullscreen">
      <IconButton
        icon="fullscreen"
        label="Full screen"
        kind="glass"
        aria-pressed={on}
        shortcut="f"
        onClick={() => turn().catch(() => toast('The browser allows no full screen here.', 'warn'))}
        testid="fullscreen"
      />
    </span>
  );
}

/** What is true of the video now, asked again with each of the events. */
function useIs(video: RefObject<HTMLVideoElement | null>, events: string[], is: (element: HTMLVideoElement) => boolean): boolean {
  const [now, set] = useState(false);
  useEffect(() => {
    const element = video.current!;
    const ask = () => set(is(element));
    ask();
    const heard = [element, document];
    for (const target of heard) for (const event of events) target.addEventListener(event, ask);
    return () => {
      for (const target of heard) for (const event of events) target.removeEventListener(event, ask);
    };
  }, []);
  return now;
}
