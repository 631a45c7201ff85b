import { describe, expect, it } from 'vitest';
import type { PublishStats } from '../../core/whip.ts';
import { loudness, lengthOf, eased, SILENT_DB } from '../../studio/level.ts';
import { adviceOf, bitrate, CLIMBS_S, HOLDS_S, sentenceOf, verdictOf } from '../../studio/uplink.ts';
import { running } from '../../ui/desk/clock.ts';

const good: PublishStats = {
  bitrate_kbps: 2400,
  frames_per_s: 30,
  width: 1280,
  height: 720,
  codec: 'H264',
  round_trip_ms: 20,
  lost_fraction: 0,
  limited_by: 'none',
};
const LONG_S = CLIMBS_S + HOLDS_S;
const seconds = (change: Partial<PublishStats>, count = HOLDS_S) => Array.from({ length: count }, () => ({ ...good, ...change }));

describe('the uplink’s verdict', () => {
  it('takes its time', () => {
    expect(verdictOf(seconds({ limited_by: 'bandwidth', height: 360, width: 640 }, HOLDS_S - 1), 720)).toBe('measuring');
    expect(verdictOf([...seconds({}), ...seconds({ limited_by: 'bandwidth', width: 640, height: 360 }, 2)], 720)).toBe('good');
  });

  it('lets a new session climb first', () => {
    expect(verdictOf(seconds({ limited_by: 'bandwidth', width: 480, height: 270 }, CLIMBS_S), 720)).toBe('good');
  });

  it('says that the uplink cannot hold the size that was chosen', () => {
    const verdict = verdictOf(seconds({ limited_by: 'bandwidth', width: 640, height: 360 }, LONG_S), 720);
    expect(verdict).toBe('uplink');
    expect(adviceOf(verdict, 720)!.title).toBe('Your uplink can’t hold 720p');
  });

  it('is said in one sentence, whatever it is', () => {
    expect(sentenceOf('measuring', 720, null)).toMatch(/^Measuring/);
    expect(sentenceOf('good', 720, good)).toBe('Your uplink holds 720p.');
    expect(sentenceOf('good', 720, { ...good, frames_per_s: 8 })).toMatch(/^Only 8 frames a second leave this device\./);
    expect(sentenceOf('good', 1080, { ...good, limited_by: 'bandwidth' })).toBe('Climbing: 720p now, on the way to 1080p.');
    expect(sentenceOf('uplink', 1080, good)).toMatch(/^Your uplink can’t hold 1080p\. Viewers get a smaller picture\./);
  });

  it('takes a phone held upright for what it is', () => {
    expect(verdictOf(seconds({ limited_by: 'bandwidth', width: 720, height: 1280 }, LONG_S), 720)).toBe('good');
  });

  it('does not blame the uplink for a small camera', () => {
    expect(verdictOf(seconds({ width: 640, height: 480 }), 720)).toBe('good');
  });

  it('tells a slow device from lost packets from nothing at all', () => {
    expect(verdictOf(seconds({ limited_by: 'cpu', frames_per_s: 7 }, LONG_S), 720)).toBe('device');
    expect(verdictOf(seconds({ lost_fraction: 0.09 }), 720)).toBe('loss');
    expect(verdictOf(seconds({ bitrate_kbps: 3 }), 720)).toBe('nothing');
  });

  it('has nothing to say while all is well', () => {
    expect(adviceOf('good', 720)).toBeNull();
    expect(adviceOf('measuring', 720)).toBeNull();
  });
});

describe('numbers for people', () => {
  it('bitrates', () => {
    expect([bitrate(640.4), bitrate(2480)]).toEqual(['640 kbit/s', '2.5 Mbit/s']);
  });

  it('the on-air clock', () => {
    expect([running(-5), running(65_000), running(3_725_000)]).toEqual(['00:00', '01:05', '1:02:05']);
  });
});

describe('the level meter', () => {
  it('measures silence and full scale', () => {
    expect(loudness(new Float32Array(64))).toBe(SILENT_DB);
    expect(loudness(new Float32Array(64).fill(1))).toBeCloseTo(0);
    expect(loudness(new Float32Array(64).fill(0.1))).toBeCloseTo(-20);
    expect([lengthOf(SILENT_DB), lengthOf(0)]).toEqual([0, 1]);
  });

  it('rises at once and falls slowly', () => {
    expect(eased(0.2, 0.9)).toBe(0.9);
    expect(eased(0.9, 0)).toBeCloseTo(0.88);
  });
});
