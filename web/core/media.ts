/** What WHIP and WHEP share: codec order, the POST through a redirect, waiting, leaving, numbers. */

import { Problem, type ProblemBody } from './problem.ts';

const CODEC_ORDER = ['video/h264', 'video/vp8', 'video/vp9', 'video/av1'];

/** H.264 first (hardware everywhere), then VP8; repair formats keep their place behind. */
export function preferCodecs(transceiver: RTCRtpTransceiver, capabilities: RTCRtpCapabilities | null): void {
  const codecs = capabilities?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = (codec: RTCRtpCodec) => {
    const at = CODEC_ORDER.indexOf(codec.mimeType.toLowerCase());
    return at < 0 ? CODEC_ORDER.length : at;
  };
  try {
    transceiver.setCodecPreferences([...codecs].sort((a, b) => rank(a) - rank(b)));
  } catch {
    // An older browser that refuses the list offers its own order, which the node can read as well.
  }
}

export interface MediaAnswer {
  sdp: string;
  /** The WHIP or WHEP resource, to DELETE on leaving. */
  resource: string | null;
}

/**
 * POSTs an offer, following 307 with fetch. Throws Problem with `status`: 409 nothing on air (WHEP) or taken (WHIP),
 * 401, 404, 503; code `offline` where nobody answers.
 */
export async function postOffer(url: string, sdp: string, token: string | null, signal: AbortSignal): Promise<MediaAnswer> {
  const headers: Record<string, string> = { 'Content-Type': 'application/sdp', Accept: 'application/sdp, application/problem+json' };
  if (token) headers['Authorization'] = `Bearer ${token}`;
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { method: 'POST', headers, body: sdp, signal, credentials: 'omit' });
    body = await response.text();
  } catch (error) {
    if (signal.aborted && signal.reason?.name !== 'TimeoutError') throw error;
    throw new Problem({ code: 'offline', detail: 'The picture cannot be reached.', what_to_do: 'Check your connection.' });
  }
  if (response.status !== 201) throw mediaProblem(response, body);
  const location = response.headers.get('location');
  return { sdp: body, resource: location ? new URL(location, response.url || globalThis.location?.href).href : null };
}

function mediaProblem(response: Response, body: string): Problem {
  let parsed: ProblemBody = {};
  try {
    parsed = JSON.parse(body) as ProblemBody;
  } catch {
    // Not problem details: the status says enough.
  }
  const retryAfter = Number(response.headers.get('retry-after'));
  return new Problem({
    title: `The media server answered ${response.status}.`,
    code: `http_${response.status}`,
    ...(retryAfter > 0 ? { retry_after_s: retryAfter } : {}),
    ...parsed,
    status: response.status,
  });
}

/** Ends a session at the server; also while the page goes away. */
export function leave(resource: string | null, token: string | null = null): void {
  if (!resource) return;
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  void fetch(resource, { method: 'DELETE', headers, keepalive: true, credentials: 'omit' }).catch(() => undefined);
}

/** Grows by half from the first delay to the most, with jitter. */
export class Backoff {
  #attempt = 0;
  constructor(
    private readonly firstMs: number,
    private readonly mostMs: number,
    private readonly random: () => number = Math.random,
  ) {}
  next(): number {
    const ceiling = Math.min(this.mostMs, this.firstMs * 1.5 ** this.#attempt++);
    return ceiling * (0.5 + 0.5 * this.random());
  }
  reset(): void {
    this.#attempt = 0;
  }
}
