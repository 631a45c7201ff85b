/** A time that ticks on the screen. */

import { useEffect, useState } from 'preact/hooks';

/** Now, anew each second, in step with the server's clock where one is given. */
export function useNow(serverNow: () => number = Date.now, everyMs = 1000): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** 3_725_000 → "1:02:05"; under an hour "02:05". */
export function running(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0'));
  const hours = Math.floor(seconds / 3600);
  return hours ? `${hours}:${parts.join(':')}` : parts.join(':');
}
