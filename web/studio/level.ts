/** How loud the microphone is. */

export const SILENT_DB = -60;

/** Root mean square of samples in −1…1, in dB below full scale; never under the floor. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const db = 10 * Math.log10(sum / Math.max(1, samples.length) || Number.MIN_VALUE);
  return Math.max(SILENT_DB, Math.min(0, db));
}

/** The meter's length for a loudness, 0…1. */
export const lengthOf = (db: number): number => (db - SILENT_DB) / -SILENT_DB;

/** Up at once, down slowly, as meters do: the eye can follow. */
export const eased = (shown: number, now: number): number => (now > shown ? now : Math.max(now, shown - 0.02));

/** Tells the loudness about 30 times a second until stopped. */
export function listen(track: MediaStreamTrack, tell: (db: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    tell(loudness(samples));
  }, 33);
  // Browsers start sound only after the person did something.
  const wake = () => void context.resume();
  addEventListener('pointerdown', wake);
  addEventListener('keydown', wake);
  return () => {
    removeEventListener('pointerdown', wake);
    removeEventListener('keydown', wake);
    clearInterval(timer);
    source.disconnect();
    void context.close();
  };
}
