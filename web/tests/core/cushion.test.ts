import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { arrived, Cushion, CUSHION_MS, keepCushion } from '../../core/cushion.ts';

describe('the cushion of a player', () => {
  it('is left to the browser while nothing gets lost', () => {
    const cushion = new Cushion();
    expect(cushion.target({ packets: 300, lost: 0 }, 1_000)).toBeNull();
    expect(cushion.target({ packets: 600, lost: 1 }, 2_000)).toBeNull();
  });

  it('grows with loss and stays until the path has been clean for long', () => {
    const cushion = new Cushion();
    expect(cushion.target({ packets: 300, lost: 15 }, 1_000)).toBe(CUSHION_MS);
    expect(cushion.target({ packets: 600, lost: 15 }, 2_000)).toBe(CUSHION_MS);
    expect(cushion.target({ packets: 900, lost: 15 }, 31_500)).toBeNull();
    expect(cushion.target({ packets: 1200, lost: 30 }, 32_500)).toBe(CUSHION_MS);
  });

  it('does not mind a player that stands still', () => {
    const cushion = new Cushion();
    expect(cushion.target({ packets: 0, lost: 0 }, 1_000)).toBeNull();
    expect(cushion.target({ packets: 0, lost: 0 }, 2_000)).toBeNull();
  });

  it('reads what is lost, or sent again, of video alone', () => {
    const report = new Map<string, object>([
      ['a', { type: 'inbound-rtp', kind: 'audio', packetsReceived: 50, packetsLost: 9 }],
      ['v', { type: 'inbound-rtp', kind: 'video', packetsReceived: 300, packetsLost: -1, retransmittedPacketsReceived: 4 }],
      ['t', { type: 'transport' }],
    ]);
    expect(arrived(report as unknown as RTCStatsReport)).toEqual({ packets: 300, lost: 4 });
  });
});

describe('a peer that is looked after', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('gets the same for sound and picture, until it is closed', async () => {
    const receivers = [{ jitterBufferTarget: null as number | null }, { jitterBufferTarget: null as number | null }];
    const getStats = vi.fn(async () => {
      const lost = 20 * getStats.mock.calls.length;
      return new Map([['v', { type: 'inbound-rtp', kind: 'video', packetsReceived: 10 * lost, packetsLost: lost }]]);
    });
    const peer = { connectionState: 'connected', getStats, getReceivers: () => receivers };
    keepCushion(peer as unknown as RTCPeerConnection);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(receivers.map((receiver) => receiver.jitterBufferTarget)).toEqual([CUSHION_MS, CUSHION_MS]);
    peer.connectionState = 'closed';
    await vi.advanceTimersByTimeAsync(60_000);
    expect(getStats).toHaveBeenCalledTimes(1);
  });
});
