import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Capture, faultOf, QUALITIES, type Devices } from '../../studio/capture.ts';

class Track {
  enabled = true;
  stopped = false;
  contentHint = '';
  onended: (() => void) | null = null;
  applyConstraints = vi.fn(async () => undefined);
  constructor(
    readonly kind: 'video' | 'audio',
    readonly deviceId = `${kind}-1`,
  ) {}
  getSettings() {
    return { deviceId: this.deviceId };
  }
  stop() {
    this.stopped = true;
  }
}

class Stream {
  constructor(readonly tracks: Track[]) {}
  getVideoTracks = () => this.tracks.filter((track) => track.kind === 'video');
  getAudioTracks = () => this.tracks.filter((track) => track.kind === 'audio');
}

const named = (name: string) => Object.assign(new Error(name), { name });

/** Devices of which some refuse. */
function devices(refusals: { video?: string; audio?: string; screen?: string } = {}) {
  const made: Track[] = [];
  const asked: MediaStreamConstraints[] = [];
  const give = (...tracks: Track[]) => (made.push(...tracks), new Stream(tracks) as unknown as MediaStream);
  const fake = {
    getUserMedia: async (wanted: MediaStreamConstraints) => {
      asked.push(wanted);
      for (const kind of ['video', 'audio'] as const) if (wanted[kind] && refusals[kind]) throw named(refusals[kind]);
      return give(...(['video', 'audio'] as const).filter((kind) => wanted[kind]).map((kind) => new Track(kind)));
    },
    getDisplayMedia: async () => {
      if (refusals.screen) throw named(refusals.screen);
      return give(new Track('video', 'screen'));
    },
    enumerateDevices: async () => [
      { kind: 'videoinput', deviceId: 'video-1', label: 'Front camera' },
      { kind: 'audioinput', deviceId: 'audio-1', label: '' },
      { kind: 'audiooutput', deviceId: 'speaker', label: 'Speaker' },
    ],
    addEventListener: vi.fn(),
    removeEventListener: vi.fn(),
  };
  return { devices: fake as unknown as Devices, made, asked, refusals };
}

beforeEach(() => vi.stubGlobal('MediaStream', Stream));

describe('the host’s devices', () => {
  it('are asked for at once, and named', async () => {
    const fake = devices();
    const capture = new Capture(fake.devices);
    await capture.open();
    expect(fake.asked).toHaveLength(1);
    expect([capture.cameraState.value, capture.microphoneState.value]).toEqual(['ready', 'ready']);
    expect(capture.cameras.value).toEqual([{ id: 'video-1', name: 'Front camera' }]);
    expect(capture.microphones.value).toEqual([{ id: 'audio-1', name: 'Microphone 1' }]);
  });

  it('fail apart: without a camera the microphone still works', async () => {
    const capture = new Capture(devices({ video: 'NotFoundError' }).devices);
    await capture.open();
    expect([capture.cameraState.value, capture.cameraFault.value]).toEqual(['faulty', 'none']);
    expect(capture.microphoneState.value).toBe('ready');
    expect(capture.video.value).toBeNull();
  });

  it('say when they are blocked, and work after they are allowed', async () => {
    const fake = devices({ video: 'NotAllowedError', audio: 'NotAllowedError' });
    const capture = new Capture(fake.devices);
    await capture.open();
    expect([capture.cameraFault.value, capture.microphoneFault.value]).toEqual(['denied', 'denied']);
    delete fake.refusals.video;
    await capture.openCamera('');
    expect([capture.cameraState.value, capture.cameraFault.value]).toEqual(['ready', null]);
  });

  it('say when they are pulled out', async () => {
    const fake = devices();
    const capture = new Capture(fake.devices);
    await capture.open();
    fake.made.find((track) => track.kind === 'video')!.onended!();
    expect([capture.camera.value, capture.cameraFault.value]).toEqual([null, 'lost']);
  });

  it('are missing altogether where the page is not secure', async () => {
    const capture = new Capture(undefined);
    await capture.open();
    expect(capture.cameraFault.value).toBe('unsupported');
  });

  it('release the camera before the next', async () => {
    const fake = devices();
    const capture = new Capture(fake.devices);
    await capture.open();
    await capture.openCamera('video-2');
    expect(fake.made[0]!.stopped).toBe(true);
    expect(fake.asked.at(-1)!.video).toMatchObject({ deviceId: { exact: 'video-2' } });
  });

  it('keep the microphone muted when it is another', async () => {
    const capture = new Capture(devices().devices);
    await capture.open();
    capture.setMicrophone(false);
    await capture.openMicrophone('audio-2');
    expect(capture.microphone.value!.enabled).toBe(false);
  });

  it('give a new stream for a new picture, and the camera back after the screen', async () => {
    const capture = new Capture(devices().devices);
    await capture.open();
    const before = capture.stream.value;
    expect(await capture.share()).toBe(true);
    expect(capture.source.value).toBe('screen');
    expect(capture.stream.value).not.toBe(before);
    capture.screen.value!.onended!(new Event('ended'));
    expect([capture.source.value, capture.screen.value]).toEqual(['camera', null]);
  });

  it('take a closed screen chooser for an answer', async () => {
    const capture = new Capture(devices({ screen: 'NotAllowedError' }).devices);
    await capture.open();
    expect(await capture.share()).toBe(false);
    expect(capture.source.value).toBe('camera');
  });

  it('change the size while they run', async () => {
    const fake = devices();
    const capture = new Capture(fake.devices);
    await capture.open();
    await capture.setQuality(QUALITIES[0]!);
    expect(fake.made[0]!.applyConstraints).toHaveBeenCalledWith(expect.objectContaining({ height: { ideal: 480 } }));
  });

  it('say why by the error’s name', () => {
    expect(['NotAllowedError', 'NotFoundError', 'NotReadableError', 'Other'].map((name) => faultOf(named(name)))).toEqual([
      'denied',
      'none',
      'in_use',
      'failed',
    ]);
  });
});
