/**
 * The host's camera, microphone and screen: what is chosen, what is missing and why.
 *
 * Video and sound fail apart: a host without a camera can share a screen, one without a microphone can still show.
 */

import { computed, signal } from '@preact/signals';

export type CaptureFault = 'denied' | 'none' | 'in_use' | 'unsupported' | 'lost' | 'failed';
export type CaptureState = 'idle' | 'asking' | 'ready' | 'faulty';
export type Source = 'camera' | 'screen';

export interface Device {
  id: string;
  name: string;
}

export interface Quality {
  name: string;
  label: string;
  height: number;
  kbps: number;
}

export const QUALITIES: readonly Quality[] = [
  { name: '480', label: '480p: for a weak uplink', height: 480, kbps: 1_000 },
  { name: '720', label: '720p', height: 720, kbps: 2_500 },
  { name: '1080', label: '1080p: for a strong uplink', height: 1080, kbps: 4_500 },
];

export const qualityNamed = (name: string): Quality => QUALITIES.find((quality) => quality.name === name) ?? QUALITIES[1]!;

/** What getUserMedia's error says about the device (Media Capture and Streams, section 10.3.5). */
export function faultOf(error: unknown): CaptureFault {
  const name = error instanceof Error || error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'denied';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'none';
  if (name === 'NotReadableError' || name === 'AbortError') return 'in_use';
  return 'failed';
}

const SOUND: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export type Devices = Pick<
  MediaDevices,
  'getUserMedia' | 'getDisplayMedia' | 'enumerateDevices' | 'addEventListener' | 'removeEventListener'
>;

export class Capture {
  readonly source = signal<Source>('camera');
  readonly cameraState = signal<CaptureState>('idle');
  readonly cameraFault = signal<CaptureFault | null>(null);
  readonly microphoneState = signal<CaptureState>('idle');
  readonly microphoneFault = signal<CaptureFault | null>(null);
  readonly cameras = signal<readonly Device[]>([]);
  readonly microphones = signal<readonly Device[]>([]);
  readonly cameraId = signal('');
  readonly microphoneId = signal('');
  readonly cameraOn = signal(true);
  readonly microphoneOn = signal(true);
  readonly quality = signal<Quality>(qualityNamed('720'));
  readonly camera = signal<MediaStreamTrack | null>(null);
  readonly screen = signal<MediaStreamTrack | null>(null);
  readonly microphone = signal<MediaStreamTrack | null>(null);

  /** What is being sent: one picture, perhaps one sound. A new object whenever one of them is another. */
  readonly stream = computed(() => {
    const tracks = [this.video.value, this.microphone.value].filter((track) => track !== null);
    return tracks.length ? new MediaStream(tracks) : null;
  });
  readonly video = computed(() => (this.source.value === 'screen' ? this.screen.value : this.camera.value));

  constructor(private readonly devices: Devices | undefined) {}

  /** Asks for both at once, so that the browser asks once; then for each, to learn which is missing. */
  async open(): Promise<void> {
    if (!this.devices) return this.#unsupported();
    this.devices.addEventListener('devicechange', this.#list);
    this.cameraState.value = this.microphoneState.value = 'asking';
    try {
      const both = await this.devices.getUserMedia({ video: this.#picture(), audio: this.#sound() });
      this.#useCamera(both.getVideoTracks()[0]!);
      this.#useMicrophone(both.getAudioTracks()[0]!);
    } catch {
      await Promise.all([this.openCamera(), this.openMicrophone()]);
    }
    await this.#list();
  }

  async openCamera(id = this.cameraId.value): Promise<void> {
    this.cameraId.value = id;
    this.cameraState.value = 'asking';
    // Some phones open one camera at a time.
    if (id) this.camera.value?.stop();
    try {
      const stream = await this.devices!.getUserMedia({ video: this.#picture() });
      this.#useCamera(stream.getVideoTracks()[0]!);
    } catch (error) {
      this.camera.value = null;
      this.cameraFault.value = faultOf(error);
      this.cameraState.value = 'faulty';
    }
  }

  async openMicrophone(id = this.microphoneId.value): Promise<void> {
    this.microphoneId.value = id;
    this.microphoneState.value = 'asking';
    try {
      const stream = await this.devices!.getUserMedia({ audio: this.#sound() });
      this.#useMicrophone(stream.getAudioTracks()[0]!);
    } catch (error) {
      this.microphone.value = null;
      this.microphoneFault.value = faultOf(error);
      this.microphoneState.value = 'faulty';
    }
  }

  /** The browser's own chooser; false when the host chose nothing. */
  async share(): Promise<boolean> {
    const { height } = this.quality.value;
    const stream = await this.devices!.getDisplayMedia({ video: { frameRate: 30, height: { max: Math.max(height, 720) } } }).catch((error) => {
      if (faultOf(error) === 'denied') return null;
      throw error;
    });
    const track = stream?.getVideoTracks()[0];
    if (!track) return false;
    track.contentHint = 'detail';
    track.onended = () => this.stopSharing();
    this.screen.value = track;
    this.source.value = 'screen';
    return true;
  }

  stopSharing(): void {
    this.screen.value?.stop();
    this.screen.value = null;
    this.source.value = 'camera';
  }

  /** Off sends black, or silence: viewers stay connected. */
  setCamera(on: boolean): void {
    this.cameraOn.value = on;
    if (this.camera.value) this.camera.value.enabled = on;
  }

  setMicrophone(on: boolean): void {
    this.microphoneOn.value = on;
    if (this.microphone.value) this.microphone.value.enabled = on;
  }

  async setQuality(quality: Quality): Promise<void> {
    this.quality.value = quality;
    const { width, height, frameRate } = this.#picture();
    await this.camera.value?.applyConstraints({ width, height, frameRate }).catch(() => undefined);
  }

  close(): void {
    this.devices?.removeEventListener('devicechange', this.#list);
    for (const track of [this.camera, this.screen, this.microphone]) track.value?.stop();
  }

  #picture(): MediaTrackConstraints {
    const { height } = this.quality.value;
    const id = this.cameraId.value;
    return {
      height: { ideal: height },
      width: { ideal: Math.round((height * 16) / 9) },
      frameRate: { ideal: 30 },
      ...(id ? { deviceId: { exact: id } } : { facingMode: 'user' }),
    };
  }

  #sound(): MediaTrackConstraints {
    const id = this.microphoneId.value;
    return id ? { ...SOUND, deviceId: { exact: id } } : SOUND;
  }

  #useCamera(track: MediaStreamTrack): void {
    if (this.camera.value !== track) this.camera.value?.stop();
    track.enabled = this.cameraOn.value;
    track.onended = () => {
      if (this.camera.value !== track) return;
      this.camera.value = null;
      this.cameraFault.value = 'lost';
      this.cameraState.value = 'faulty';
    };
    this.camera.value = track;
    this.cameraId.value = track.getSettings().deviceId ?? this.cameraId.value;
    this.cameraFault.value = null;
    this.cameraState.value = 'ready';
  }

  #useMicrophone(track: MediaStreamTrack): void {
    if (this.microphone.value !== track) this.microphone.value?.stop();
    track.enabled = this.microphoneOn.value;
    track.onended = () => {
      if (this.microphone.value !== track) return;
      this.microphone.value = null;
      this.microphoneFault.value = 'lost';
      this.microphoneState.value = 'faulty';
    };
    this.microphone.value = track;
    this.microphoneId.value = track.getSettings().deviceId ?? this.microphoneId.value;
    this.microphoneFault.value = null;
    this.microphoneState.value = 'ready';
  }

  readonly #list = async (): Promise<void> => {
    const devices = (await this.devices?.enumerateDevices().catch(() => [])) ?? [];
    const named = (kind: MediaDeviceKind, word: string) =>
      devices
        .filter((device) => device.kind === kind && device.deviceId)
        .map((device, index) => ({ id: device.deviceId, name: device.label || `${word} ${index + 1}` }));
    this.cameras.value = named('videoinput', 'Camera');
    this.microphones.value = named('audioinput', 'Microphone');
  };

  #unsupported(): void {
    this.cameraFault.value = this.microphoneFault.value = 'unsupported';
    this.cameraState.value = this.microphoneState.value = 'faulty';
  }
}
