import { useEffect, useRef } from 'preact/hooks';
import { Button, Spinner } from '../ui/button.tsx';
import { Icon, type IconName } from '../ui/icons.tsx';
import type { Capture, CaptureFault } from './capture.ts';
import { MICROPHONE_FAULTS } from './fault-words.ts';
import type { Sender } from './sender.ts';
import type { DeskStore } from '../ui/desk/store.ts';
import { Trouble } from './uplink-strip.tsx';

/** The host's own picture: mirrored, as in a mirror, unless it is a screen. Viewers see it unmirrored. */
export function Preview({ store, capture, sender }: { store: DeskStore; capture: Capture; sender: Sender }) {
  const video = useRef<HTMLVideoElement>(null);
  const track = capture.video.value;
  const screen = capture.source.value === 'screen';
  useEffect(() => {
    video.current!.srcObject = track ? new MediaStream([track]) : null;
    if (track) void video.current!.play().catch(() => undefined);
  }, [track]);
  const dark = !screen && !capture.cameraOn.value && track;
  return (
    <div class={`preview on-picture${screen ? '' : ' mirrored'}`} data-testid="preview" data-source={capture.source.value}>
      <video ref={video} muted playsInline autoPlay disableRemotePlayback aria-label="Your picture" data-testid="self-view" />
      {!track && <Missing capture={capture} />}
      {dark && (
        <div class="preview-words">
          <Icon name="camera_off" size={28} />
          <strong>Your camera is off</strong>
          <p>Viewers see black and hear you.</p>
        </div>
      )}
      <Tally store={store} sender={sender} />
      <div class="preview-notice">
        <Trouble capture={capture} sender={sender} />
      </div>
    </div>
  );
}

/** What is happening to this picture, in its corner. */
function Tally({ store, sender }: { store: DeskStore; sender: Sender }) {
  const state = sender.state.value;
  const [tone, words] =
    state === 'live'
      ? store.state.value === 'live'
        ? ['live', 'Viewers see this']
        : ['ready', 'Sending; the show has not started']
      : state === 'retrying'
        ? ['warn', 'Reconnecting…']
        : state === 'connecting' || sender.starting.value
          ? ['ready', 'Connecting…']
          : ['off', 'Only you see this'];
  return (
    <span class={`tally ${tone}`} role="status" data-testid="tally" data-state={state}>
      {(state === 'retrying' || state === 'connecting') && <Spinner />}
      {words}
    </span>
  );
}

const FAULTS: Record<CaptureFault, { icon: IconName; title: string; text: string }> = {
  denied: {
    icon: 'lock',
    title: 'The camera is blocked',
    text: 'This site may not use it. Allow the camera in the address bar or the browser’s settings, then try again.',
  },
  none: { icon: 'camera_off', title: 'No camera found', text: 'Plug one in and try again, share your screen, or stream with an encoder.' },
  in_use: { icon: 'camera_off', title: 'The camera is busy', text: 'Another program holds it. Close that program, then try again.' },
  lost: { icon: 'camera_off', title: 'The camera went away', text: 'It was unplugged or switched off. Plug it in and try again.' },
  unsupported: {
    icon: 'lock',
    title: 'This page can’t use a camera here',
    text: 'Browsers allow cameras only on https:// addresses and on this machine itself. Or stream with an encoder.',
  },
  failed: { icon: 'alert', title: 'The camera did not start', text: 'Try again, or choose another camera.' },
};

function Missing({ capture }: { capture: Capture }) {
  const fault = capture.cameraFault.value;
  if (capture.cameraState.value === 'asking' || !fault)
    return (
      <div class="preview-words" role="status" data-testid="camera-asking">
        <Spinner />
        <strong>Starting the camera</strong>
        <p>Your browser may ask whether this site may use it.</p>
      </div>
    );
  const { icon, title, text } = FAULTS[fault];
  const silent = capture.microphoneFault.value;
  return (
    <div class="preview-words" role="alert" data-testid={`camera-${fault}`}>
      <Icon name={icon} size={28} />
      <strong>{title}</strong>
      <p>{text}</p>
      {silent && fault !== 'unsupported' && <p>{MICROPHONE_FAULTS[silent]}</p>}
      {fault !== 'unsupported' && (
        <Button size="s" icon="refresh" onClick={() => void (silent ? capture.open() : capture.openCamera(''))}>
          Try again
        </Button>
      )}
    </div>
  );
}
