import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, IconButton } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import type { DeskStore } from '../ui/desk/store.ts';
import { Select } from '../ui/field.tsx';
import { Icon } from '../ui/icons.tsx';
import { Note, toastProblem } from '../ui/status.tsx';
import { QUALITIES, qualityNamed, type Capture, type Device } from './capture.ts';
import { eased, lengthOf, listen, SILENT_DB } from './level.ts';
import { MICROPHONE_FAULTS } from './fault-words.ts';
import type { Sender } from './sender.ts';

const QUIET_DB = -50;
const QUIET_FOR_MS = 6_000;

interface Parts {
  store: DeskStore;
  capture: Capture;
  sender: Sender;
}

/** Camera, microphone, screen, devices; and the one large button. */
export function Controls(parts: Parts) {
  const { store, capture, sender } = parts;
  const [checking, setChecking] = useState(false);
  const screen = capture.source.value === 'screen';
  const share = () => (screen ? capture.stopSharing() : void capture.share().catch(toastProblem));
  const canShare = 'getDisplayMedia' in (navigator.mediaDevices ?? {});
  return (
    <>
      <div class="controls" role="group" aria-label="Picture and sound">
        <div class="controls-devices">
          <IconButton
            icon={capture.cameraOn.value ? 'camera' : 'camera_off'}
            label={capture.cameraOn.value ? 'Turn the camera off' : 'Turn the camera on'}
            kind={capture.cameraOn.value ? 'plain' : 'danger'}
            disabled={!capture.camera.value}
            onClick={() => capture.setCamera(!capture.cameraOn.value)}
            testid="camera-toggle"
          />
          <IconButton
            icon={capture.microphoneOn.value ? 'mic' : 'mic_off'}
            label={capture.microphoneOn.value ? 'Mute the microphone' : 'Unmute the microphone'}
            kind={capture.microphoneOn.value ? 'plain' : 'danger'}
            disabled={!capture.microphone.value}
            onClick={() => capture.setMicrophone(!capture.microphoneOn.value)}
            testid="mic-toggle"
          />
          <Level capture={capture} />
          {canShare && (
            <IconButton icon="screen" label={screen ? 'Stop sharing the screen' : 'Share the screen'} aria-pressed={screen} onClick={share} testid="share-screen" />
          )}
          <IconButton icon="settings" label="Check camera and microphone" aria-haspopup="dialog" onClick={() => setChecking(true)} testid="device-check" />
        </div>
        <GoLive {...parts} />
      </div>
      <DeviceCheck open={checking} onClose={() => setChecking(false)} capture={capture} sending={sender.sending.value} store={store} />
    </>
  );
}

function GoLive({ store, capture, sender }: Parts) {
  if (store.state.value === 'ended')
    return (
      <p class="go-live-word muted" role="status">
        This show has ended.
      </p>
    );
  if (sender.sending.value)
    return (
      <span class="go-live">
        <Button size="l" icon="stop" onClick={() => sender.stop()} testid="stop-sending" title="Viewers see “Back in a moment”">
          Take picture off
        </Button>
      </span>
    );
  const others = store.picture.value === 'live';
  return (
    <span class="go-live live">
      <Button size="l" kind="primary" icon="camera" disabled={!capture.video.value} onClick={() => void sender.goLive()} testid="go-live" title={others ? 'An encoder or another host is sending now' : undefined}>
        {store.state.value === 'live' ? 'Send picture' : 'Go live'}
      </Button>
    </span>
  );
}

/** The microphone's loudness, drawn without a render a frame. */
export function Level({ capture, long = false }: { capture: Capture; long?: boolean }) {
  const bar = useRef<HTMLElement>(null);
  const [db, setDb] = useState(SILENT_DB);
  const track = capture.microphone.value;
  useEffect(() => {
    if (!track) return;
    let shown = 0;
    let told = 0;
    return listen(track, (now) => {
      shown = eased(shown, lengthOf(now));
      if (bar.current) bar.current.style.transform = long ? `scaleX(${shown})` : `scaleY(${shown})`;
      if (performance.now() - told < 500) return;
      told = performance.now();
      setDb(Math.round(now));
    });
  }, [track]);
  return (
    <span
      class={`level${long ? ' long' : ''}`}
      role="meter"
      aria-label="Microphone level"
      aria-valuemin={SILENT_DB}
      aria-valuemax={0}
      aria-valuenow={db}
      aria-valuetext={track ? `${db} decibels` : 'No microphone'}
      data-testid="mic-level"
      data-db={db}
    >
      <i ref={bar} />
    </span>
  );
}

function DeviceCheck(props: { open: boolean; onClose: () => void; capture: Capture; sending: boolean; store: DeskStore }) {
  const { open, onClose, capture, sending } = props;
  return (
    <Dialog open={open} onClose={onClose} title="Camera and microphone" testid="device-dialog">
      {open && (
        <div class="form">
          <Mirror capture={capture} />
          <Pick label="Camera" name="camera" devices={capture.cameras.value} value={capture.cameraId.value} onValue={(id) => void capture.openCamera(id)} none="No camera found" />
          <Pick label="Microphone" name="microphone" devices={capture.microphones.value} value={capture.microphoneId.value} onValue={(id) => void capture.openMicrophone(id)} none="No microphone found" />
          <Hearing capture={capture} />
          <Select
            label="Quality"
            name="quality"
            value={capture.quality.value.name}
            onValue={(name) => void capture.setQuality(qualityNamed(name))}
            options={QUALITIES.map(({ name, label }) => ({ value: name, label }))}
            hint={sending ? 'The size changes at once, the bitrate the next time you go live.' : 'What your camera and uplink can give at most.'}
            testid="quality"
          />
        </div>
      )}
    </Dialog>
  );
}

function Mirror({ capture }: { capture: Capture }) {
  const video = useRef<HTMLVideoElement>(null);
  const track = capture.camera.value;
  useEffect(() => {
    video.current!.srcObject = track ? new MediaStream([track]) : null;
    if (track) void video.current!.play().catch(() => undefined);
  }, [track]);
  const settings = track?.getSettings();
  return (
    <div class="check-mirror mirrored on-picture">
      <video ref={video} muted playsInline autoPlay aria-label="Your camera" />
      <span>{track ? `${settings?.width ?? '?'} × ${settings?.height ?? '?'}` : 'No camera'}</span>
    </div>
  );
}

function Pick(props: { label: string; name: string; devices: readonly Device[]; value: string; onValue: (id: string) => void; none: string }) {
  const { label, name, devices, value, onValue, none } = props;
  const options = devices.length ? devices.map((device) => ({ value: device.id, label: device.name })) : [{ value: '', label: none }];
  return <Select label={label} name={name} value={value} onValue={onValue} options={options} disabled={devices.length === 0} testid={`pick-${name}`} />;
}

/** Whether the microphone hears anything; silence is said after a while. */
function Hearing({ capture }: { capture: Capture }) {
  const [quiet, setQuiet] = useState(false);
  const fault = capture.microphoneFault.value;
  const track = capture.microphone.value;
  useEffect(() => {
    if (!track) return;
    let heard = performance.now();
    setQuiet(false);
    return listen(track, (db) => {
      if (db > QUIET_DB) heard = performance.now();
      setQuiet(performance.now() - heard > QUIET_FOR_MS);
    });
  }, [track]);
  return (
    <div class="hearing">
      <Icon name="mic" size={18} />
      <Level capture={capture} long />
      {fault ? (
        <Note
          tone="warn"
          testid={`mic-${fault}`}
          action={
            <Button size="s" icon="refresh" onClick={() => void capture.openMicrophone('')}>
              Try again
            </Button>
          }
        >
          {MICROPHONE_FAULTS[fault]}
        </Note>
      ) : (
        <p class="small muted" role="status">
          {quiet ? 'Nothing is heard. Is it muted, or another one?' : 'Speak: the bar should move.'}
        </p>
      )}
    </div>
  );
}
