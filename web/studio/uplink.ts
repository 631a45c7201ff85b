/** What the host's uplink does, in words a host can act on. Pure. */

import type { PublishStats } from '../core/whip.ts';

export type Verdict = 'measuring' | 'good' | 'uplink' | 'device' | 'loss' | 'nothing';

/** Seconds that something must hold before it is said, so that one bad second is no news. */
export const HOLDS_S = 5;
/** A new session climbs from a small picture as its bandwidth is learnt: that is no fault yet. */
export const CLIMBS_S = 15;
const LOSS_MOST = 0.05;
const SLOW_FRAMES = 12;

/** The newest last, one a second; `wantedHeight` is the short side that was chosen. */
export function verdictOf(history: readonly PublishStats[], wantedHeight: number): Verdict {
  const recent = history.slice(-HOLDS_S);
  if (recent.length < HOLDS_S) return 'measuring';
  const all = (holds: (stats: PublishStats) => boolean) => recent.every(holds);
  if (all((stats) => stats.bitrate_kbps < 20)) return 'nothing';
  if (all((stats) => stats.lost_fraction > LOSS_MOST)) return 'loss';
  const worse = (stats: PublishStats) => shortSide(stats) < wantedHeight * 0.9 || stats.frames_per_s < SLOW_FRAMES;
  if (history.length < CLIMBS_S + HOLDS_S) return 'good';
  if (all((stats) => stats.limited_by === 'bandwidth' && worse(stats))) return 'uplink';
  if (all((stats) => stats.limited_by === 'cpu' && worse(stats))) return 'device';
  return 'good';
}

/** A phone held upright sends 720×1280: that is 720p all the same. */
export const shortSide = ({ width, height }: Pick<PublishStats, 'width' | 'height'>): number => Math.min(width, height);

export function adviceOf(verdict: Verdict, wantedHeight: number): { title: string; text: string } | null {
  switch (verdict) {
    case 'uplink':
      return {
        title: `Your uplink can’t hold ${wantedHeight}p`,
        text: 'Viewers get a smaller picture. Come closer to the router, use a cable, or choose a lower quality.',
      };
    case 'device':
      return {
        title: 'This device can’t keep up',
        text: 'Close other programs and tabs, or choose a lower quality.',
      };
    case 'loss':
      return { title: 'Your uplink loses packets', text: 'The picture may freeze for viewers. A cable or another network helps.' };
    case 'nothing':
      return { title: 'No picture is leaving this device', text: 'Check that the camera is on and no other program holds it.' };
    default:
      return null;
  }
}

/** How the uplink does, in one sentence. */
export function sentenceOf(verdict: Verdict, wantedHeight: number, latest: PublishStats | null): string {
  if (verdict === 'measuring' || !latest) return 'Measuring: this takes a few seconds.';
  const advice = adviceOf(verdict, wantedHeight);
  if (advice) return `${advice.title}. ${advice.text}`;
  const sent = shortSide(latest);
  if (sent && sent < wantedHeight * 0.9 && latest.limited_by === 'bandwidth') return `Climbing: ${sent}p now, on the way to ${wantedHeight}p.`;
  if (latest.frames_per_s < SLOW_FRAMES) return `Only ${Math.round(latest.frames_per_s)} frames a second leave this device. More light helps most cameras; so does closing other programs.`;
  return `Your uplink holds ${sent}p.`;
}

const LIMITS: Record<string, string> = { none: '–', bandwidth: 'the uplink', cpu: 'this device', other: 'something else' };
const LAYERS: Record<string, string> = { q: 'Small', h: 'Medium', f: 'Full', '': 'Picture' };

export const limitWord = (reason: string): string => LIMITS[reason] ?? reason;
export const layerWord = (rid: string): string => LAYERS[rid] ?? rid;

/** 2480 → "2.5 Mbit/s", 640 → "640 kbit/s". */
export function bitrate(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}
