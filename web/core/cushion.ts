/**
 * How long a player holds frames back before it shows them: as little as the browser likes, until packets get lost.
 *
 * A lost packet is asked for and comes a round trip later, with the frames behind it: without a cushion each loss is a
 * stand of the picture, fifteen a second on a path that loses every twentieth packet. A receiver that only receives
 * does not know the round trip, so the browser makes no room for it by itself.
 */

export const CUSHION_MS = 150;
/** Of the packets since the last look. */
const LOSSY = 0.01;
const CLEAN_MS = 30_000;
const LOOK_MS = 1_000;

export interface Arrived {
  packets: number;
  lost: number;
}

/** Pure: what was counted, and when, makes the target; null leaves it to the browser. */
export class Cushion {
  #before: Arrived = { packets: 0, lost: 0 };
  #lossyAt = -Infinity;

  target(now: Arrived, nowMs: number): number | null {
    const packets = now.packets - this.#before.packets;
    const lost = now.lost - this.#before.lost;
    this.#before = now;
    if (packets > 0 && lost / packets >= LOSSY) this.#lossyAt = nowMs;
    return nowMs - this.#lossyAt < CLEAN_MS ? CUSHION_MS : null;
  }
}

/** Of video, as it came off the network: what was sent again counts as lost. */
export function arrived(report: RTCStatsReport): Arrived {
  const sum = { packets: 0, lost: 0 };
  report.forEach((entry) => {
    if (entry.type !== 'inbound-rtp' || entry.kind !== 'video') return;
    sum.packets += entry.packetsReceived ?? 0;
    sum.lost += Math.max(0, entry.packetsLost ?? 0, entry.retransmittedPacketsReceived ?? 0);
  });
  return sum;
}

/** Looks after a connected peer until it is closed. Sound and picture get the same, so that they stay together. */
export function keepCushion(peer: RTCPeerConnection): void {
  const cushion = new Cushion();
  const timer = setInterval(async () => {
    if (peer.connectionState === 'closed' || peer.connectionState === 'failed') return clearInterval(timer);
    const report = await peer.getStats().catch(() => null);
    if (!report || !peer.getReceivers) return;
    const target = cushion.target(arrived(report), performance.now());
    for (const receiver of peer.getReceivers()) {
      if ('jitterBufferTarget' in receiver && receiver.jitterBufferTarget !== target) receiver.jitterBufferTarget = target;
    }
  }, LOOK_MS);
}
