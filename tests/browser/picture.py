"""What a viewer sees moves."""

from __future__ import annotations

from playwright.sync_api import Page

HALF_RTP_RANGE = 1 << 31  # a step beyond it would be one back (RFC 3550 5.1)

MOVING = """
async () => {
  const late = new Promise((_, never) => setTimeout(() => never(new Error('it stands still')), 60_000));
  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(48, 48);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const shown = () => new Promise((resolve) => video.requestVideoFrameCallback((_, frame) => {
    pen.drawImage(video, 0, 0, 48, 48);
    resolve({ rtp: frame.rtpTimestamp, pixels: [...pen.getImageData(0, 0, 48, 48).data] });
  }));
  const next = () => Promise.race([shown(), late]);
  const frames = [];
  for (let i = 0; i < 40; i++) frames.push(await next());
  const steps = frames.slice(1).map((frame, i) => (frame.rtp - frames[i].rtp) >>> 0);
  const differs = (a, b) => a.pixels.some((value, k) => value !== b.pixels[k]);
  const changed = frames.slice(1).filter((frame, i) => differs(frame, frames[i]));
  return { steps, changed: changed.length };
}
"""


PAINTED = """
new Promise((painted, never) => {
  setTimeout(() => never(new Error('no picture within 60 s')), 60_000);
  const look = () => document.querySelector('video')?.videoWidth ? painted() : setTimeout(look, 50);
  look();
})
"""


def seen_moving(page: Page) -> None:
    """Frames follow each other by their RTP time, and what is in them changes."""
    page.evaluate(PAINTED)
    seen = page.evaluate(MOVING)
    assert all(0 < step < HALF_RTP_RANGE for step in seen["steps"]), seen["steps"]
    assert seen["changed"] >= 10
