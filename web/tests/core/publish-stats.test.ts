import { describe, expect, it } from 'vitest';
import { readStats } from '../../core/publish-stats.ts';

type Entry = { id: string; type: string } & Record<string, unknown>;
const report = (...entries: Entry[]) => new Map(entries.map((entry) => [entry.id, entry])) as unknown as RTCStatsReport;
const layer = (rid: string, change: Record<string, unknown> = {}): Entry => ({
  id: `out-${rid}`,
  type: 'outbound-rtp',
  kind: 'video',
  rid,
  codecId: 'c',
  bytesSent: 0,
  frameWidth: { q: 320, h: 640, f: 1280 }[rid],
  frameHeight: { q: 180, h: 360, f: 720 }[rid],
  framesPerSecond: 30,
  qualityLimitationReason: 'none',
  ...change,
});
const codec: Entry = { id: 'c', type: 'codec', mimeType: 'video/H264' };

describe('what a publisher’s getStats says', () => {
  it('sums what is sent and tells the layers apart, the largest first', () => {
    const first = readStats(report(layer('q'), layer('h'), layer('f'), codec), null, 1000);
    expect(first.stats.bitrate_kbps).toBe(0);
    const { stats } = readStats(
      report(layer('q', { bytesSent: 25_000 }), layer('h', { bytesSent: 87_500 }), layer('f', { bytesSent: 312_500 }), codec),
      first.counted,
      2000,
    );
    expect(stats).toMatchObject({ bitrate_kbps: 3400, width: 1280, height: 720, codec: 'H264', limited_by: 'none' });
    expect(stats.layers!.map(({ rid, bitrate_kbps }) => [rid, bitrate_kbps])).toEqual([
      ['f', 2500],
      ['h', 700],
      ['q', 200],
    ]);
  });

  it('does not count a layer that is held back as sent, and says why it is', () => {
    const { stats } = readStats(report(layer('q'), layer('h'), layer('f', { framesPerSecond: 0, qualityLimitationReason: 'bandwidth' })), null, 0);
    expect(stats).toMatchObject({ width: 640, height: 360, frames_per_s: 30, limited_by: 'bandwidth' });
  });

  it('reads loss, round trip and what the path would take', () => {
    const { stats } = readStats(
      report(
        layer('f'),
        { id: 'r1', type: 'remote-inbound-rtp', kind: 'video', fractionLost: 0.02, roundTripTime: 0.04 },
        { id: 'r2', type: 'remote-inbound-rtp', kind: 'video', fractionLost: 0.08, roundTripTime: 0.04 },
        { id: 'p', type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.03, availableOutgoingBitrate: 3_000_000 },
      ),
      null,
      0,
    );
    expect(stats).toMatchObject({ lost_fraction: 0.08, round_trip_ms: 40, available_kbps: 3000 });
  });
});
