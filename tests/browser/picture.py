"""What a viewer sees moves."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.conftest import PATIENCE_MS

# A step of half the range of RTP's clock or more would be one back (RFC 3550 5.1): a picture that began anew.
MOVING = """
async (patienceMs) => {
  const ends = performance.now() + patienceMs;
  const canvas = new OffscreenCanvas(48, 48);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const shown = () => new Promise((resolve) => {
    const video = document.querySelector('video');
    setTimeout(() => resolve(null), video ? 5_000 : 50);
    video?.requestVideoFrameCallback((_, frame) => {
      pen.drawImage(video, 0, 0, 48, 48);
      resolve({ rtp: frame.rtpTimestamp, pixels: pen.getImageData(0, 0, 48, 48).data });
    });
  });
  const isForward = (a, b) => 0 < (b.rtp - a.rtp) >>> 0 && (b.rtp - a.rtp) >>> 0 < 2 ** 31;
  const differs = (a, b) => a.pixels.some((value, k) => value !== b.pixels[k]);
  let last = null, seen = 0, changed = 0;
  while (seen < 20 || changed < 10) {
    if (performance.now() > ends) throw new Error(`it stands still: ${seen} frames, ${changed} changes`);
    const frame = await shown();
    if (!frame) continue;
    const follows = last && isForward(last, frame);
    changed = follows ? changed + differs(last, frame) : 0;
    seen = follows ? seen + 1 : 1;
    last = frame;
  }
}
"""


def seen_moving(page: Page) -> None:
    """Twenty frames follow each other by their RTP time, and what is in them changes."""
    page.evaluate(MOVING, PATIENCE_MS)
