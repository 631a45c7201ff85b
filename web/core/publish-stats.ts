/** What getStats says of a publisher, read once a second: sums, and each simulcast layer by itself. Pure. */

export interface LayerStats {
  /** q(uarter), h(alf), f(ull); empty where there is one layer only. */
  rid: string;
  width: number;
  height: number;
  frames_per_s: number;
  bitrate_kbps: number;
  limited_by: string;
}

export interface PublishStats {
  bitrate_kbps: number;
  /** Of the largest layer that is being sent now. */
  frames_per_s: number;
  width: number;
  height: number;
  codec: string;
  round_trip_ms: number | null;
  lost_fraction: number;
  /** none, bandwidth, cpu or other: why the largest layer is not better. */
  limited_by: string;
  /** What the browser believes the path could take; null where it does not say. */
  available_kbps?: number | null;
  /** The largest first; those held back have no frames. */
  layers?: LayerStats[];
}

/** Bytes sent so far, by what was counted, and when. */
export interface Counted {
  at: number;
  bytes: ReadonlyMap<string, number>;
}

/** `nowMs` on the clock of `before.at`. The first reading has no rates. */
export function readStats(report: RTCStatsReport, before: Counted | null, nowMs: number): { stats: PublishStats; counted: Counted } {
  const bytes = new Map<string, number>();
  const rate = (id: string, sent: number) => {
    bytes.set(id, sent);
    const earlier = before?.bytes.get(id);
    return earlier === undefined || nowMs <= before!.at ? 0 : Math.max(0, ((sent - earlier) * 8) / (nowMs - before!.at));
  };
  const stats: PublishStats = { ...NOTHING, layers: [] };
  let lost = 0;
  report.forEach((entry) => {
    if (entry.type === 'outbound-rtp') {
      const kbps = rate(entry.id, entry.bytesSent ?? 0);
      stats.bitrate_kbps += kbps;
      if (entry.kind !== 'video') return;
      stats.layers!.push(layerOf(entry, kbps));
      stats.codec ||= String(report.get(entry.codecId)?.mimeType ?? '').replace('video/', '');
    } else if (entry.type === 'remote-inbound-rtp' && entry.kind === 'video') {
      lost = Math.max(lost, entry.fractionLost ?? 0);
      if (entry.roundTripTime != null) stats.round_trip_ms = entry.roundTripTime * 1000;
    } else if (entry.type === 'candidate-pair' && entry.nominated) {
      if (entry.currentRoundTripTime != null) stats.round_trip_ms ??= entry.currentRoundTripTime * 1000;
      if (entry.availableOutgoingBitrate != null) stats.available_kbps = entry.availableOutgoingBitrate / 1000;
    }
  });
  stats.layers!.sort((a, b) => RANK.indexOf(b.rid) - RANK.indexOf(a.rid) || b.width - a.width);
  return { stats: { ...stats, lost_fraction: lost, ...topOf(stats.layers!) }, counted: { at: nowMs, bytes } };
}

const RANK = ['q', 'h', 'f'];

const NOTHING: PublishStats = {
  bitrate_kbps: 0,
  frames_per_s: 0,
  width: 0,
  height: 0,
  codec: '',
  round_trip_ms: null,
  lost_fraction: 0,
  limited_by: 'none',
  available_kbps: null,
};

interface OutboundVideo {
  rid?: string;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
  qualityLimitationReason?: string;
}

function layerOf(entry: OutboundVideo, bitrate_kbps: number): LayerStats {
  return {
    rid: entry.rid ?? '',
    width: entry.frameWidth ?? 0,
    height: entry.frameHeight ?? 0,
    frames_per_s: entry.framesPerSecond ?? 0,
    bitrate_kbps,
    limited_by: entry.qualityLimitationReason ?? 'none',
  };
}

/** The largest layer with frames now; a layer held back keeps telling its last size, which nobody gets. */
function topOf(layers: readonly LayerStats[]): Pick<PublishStats, 'frames_per_s' | 'width' | 'height' | 'limited_by'> {
  const sent = layers.filter((layer) => layer.frames_per_s > 0);
  const top = (sent.length ? sent : layers).reduce<LayerStats | null>((best, layer) => (!best || layer.width > best.width ? layer : best), null);
  const limited_by = layers.find((layer) => layer.limited_by !== 'none')?.limited_by ?? 'none';
  return { frames_per_s: top?.frames_per_s ?? 0, width: top?.width ?? 0, height: top?.height ?? 0, limited_by };
}
