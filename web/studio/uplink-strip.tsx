import { useState } from 'preact/hooks';
import type { PublishStats } from '../core/publish-stats.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Note, ProblemNote } from '../ui/status.tsx';
import { QUALITIES, type Capture } from './capture.ts';
import { MICROPHONE_FAULTS } from './fault-words.ts';
import type { Sender } from './sender.ts';
import { adviceOf, bitrate, layerWord, limitWord, sentenceOf } from './uplink.ts';

/** What leaves this device, in numbers that keep their places; in full behind a button. */
export function Uplink({ sender, capture }: { sender: Sender; capture: Capture }) {
  const [open, setOpen] = useState(false);
  const stats = sender.state.value === 'live' ? sender.latest.value : null;
  return (
    <div class="uplink-row">
    <dl class="uplink tabular" aria-label="Uplink" data-testid="uplink" data-state={sender.state.value}>
      <Figure name="Uplink">{stats && bitrate(stats.bitrate_kbps)}</Figure>
      <Figure name="Picture">{stats && stats.width > 0 && `${stats.width}×${stats.height}`}</Figure>
      <Figure name="Frames">{stats && `${Math.round(stats.frames_per_s)} fps`}</Figure>
      <Figure name="Round trip">{stats?.round_trip_ms != null && `${Math.round(stats.round_trip_ms)} ms`}</Figure>
      <Figure name="Loss">{stats && `${(stats.lost_fraction * 100).toFixed(1)} %`}</Figure>
      <Figure name="Codec">{stats?.codec}</Figure>
    </dl>
      <IconButton icon="chart" label="Your uplink in full" aria-haspopup="dialog" onClick={() => setOpen(true)} testid="open-uplink" />
      <Dialog open={open} onClose={() => setOpen(false)} title="Your uplink" testid="uplink-dialog">
        {open && <InFull sender={sender} capture={capture} />}
      </Dialog>
    </div>
  );
}

/** How it does in a sentence, the last minute as a line, and each layer with what holds it back. */
function InFull({ sender, capture }: { sender: Sender; capture: Capture }) {
  const wanted = capture.quality.value.height;
  const stats = sender.state.value === 'live' ? sender.latest.value : null;
  if (!stats) return <p class="muted">Nothing is being sent. Go live, and this says how your uplink does.</p>;
  const layers = stats.layers ?? [];
  return (
    <div class="stack" data-testid="uplink-full">
      <p role="status" class="uplink-sentence" data-testid="uplink-sentence" data-verdict={sender.verdict.value}>
        {sentenceOf(sender.verdict.value, wanted, stats)}
      </p>
      <Minute history={sender.history.value} />
      <dl class="uplink-figures tabular">
        <Figure name="Sent">{bitrate(stats.bitrate_kbps)}</Figure>
        <Figure name="The path would take">{stats.available_kbps != null && bitrate(stats.available_kbps)}</Figure>
        <Figure name="Round trip">{stats.round_trip_ms != null && `${Math.round(stats.round_trip_ms)} ms`}</Figure>
        <Figure name="Loss">{`${(stats.lost_fraction * 100).toFixed(1)} %`}</Figure>
        <Figure name="Codec">{stats.codec}</Figure>
      </dl>
      <table class="uplink-layers tabular">
        <caption class="visually-hidden">Layers</caption>
        <thead>
          <tr>
            <th scope="col">Layer</th>
            <th scope="col">Size</th>
            <th scope="col">Frames</th>
            <th scope="col">Bitrate</th>
            <th scope="col">Held back by</th>
          </tr>
        </thead>
        <tbody>
          {layers.map((layer) => (
            <tr key={layer.rid} data-testid="uplink-layer" data-rid={layer.rid}>
              <th scope="row">{layerWord(layer.rid)}</th>
              <td>{layer.frames_per_s > 0 ? `${layer.width}×${layer.height}` : 'paused'}</td>
              <td>{layer.frames_per_s > 0 ? `${Math.round(layer.frames_per_s)} fps` : '–'}</td>
              <td>{bitrate(layer.bitrate_kbps)}</td>
              <td>{limitWord(layer.limited_by)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {layers.length > 1 && <p class="muted small">You send the picture in several sizes at once; each viewer gets the one that their network carries.</p>}
    </div>
  );
}

/** Bitrate of the last minute, left to right. */
function Minute({ history }: { history: readonly PublishStats[] }) {
  const most = Math.max(100, ...history.map(({ bitrate_kbps }) => bitrate_kbps));
  const points = history.map(({ bitrate_kbps }, at) => `${(at / 59) * 300},${60 - (bitrate_kbps / most) * 56}`).join(' ');
  return (
    <svg class="uplink-minute" viewBox="0 0 300 62" preserveAspectRatio="none" role="img" aria-label={`Bitrate of the last minute, at most ${bitrate(most)}`}>
      <polyline points={points} fill="none" stroke="currentColor" stroke-width="2" vector-effect="non-scaling-stroke" />
    </svg>
  );
}

function Figure(props: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children || '–'}</dd>
    </div>
  );
}

/** What is wrong with the picture or the sound, and what to do; over the preview, so that nothing moves. */
export function Trouble({ capture, sender }: { capture: Capture; sender: Sender }) {
  const state = sender.state.value;
  const wanted = capture.quality.value.height;
  if (state === 'refused') return <ProblemNote problem={sender.problem.value} retry={() => void sender.goLive()} testid="go-live-problem" />;
  if (state === 'retrying')
    return (
      <Note tone="warn" alert title="The connection broke" testid="uplink-retrying">
        {sender.problem.value?.message} Trying again by itself; viewers see “Back in a moment”.
      </Note>
    );
  const advice = state === 'live' ? adviceOf(sender.verdict.value, wanted) : null;
  if (advice) {
    const lower = QUALITIES.findLast((quality) => quality.height < wanted);
    const helps = lower && (sender.verdict.value === 'uplink' || sender.verdict.value === 'device');
    return (
      <Note
        tone="warn"
        alert
        title={advice.title}
        testid={`uplink-${sender.verdict.value}`}
        action={
          helps && (
            <Button size="s" onClick={() => void capture.setQuality(lower)}>
              Use {lower.height}p
            </Button>
          )
        }
      >
        {advice.text}
      </Note>
    );
  }
  const fault = capture.microphoneFault.value;
  // Without a picture the preview says what is missing, and has the room for it.
  if (fault && capture.video.value && capture.microphoneState.value === 'faulty')
    return (
      <Note
        tone="warn"
        testid={`microphone-${fault}`}
        action={
          <Button size="s" icon="refresh" onClick={() => void capture.openMicrophone('')}>
            Try again
          </Button>
        }
      >
        {MICROPHONE_FAULTS[fault]}
      </Note>
    );
  return null;
}
