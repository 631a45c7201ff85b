import { Button } from '../ui/button.tsx';
import { Note, ProblemNote } from '../ui/status.tsx';
import { QUALITIES, type Capture } from './capture.ts';
import { MICROPHONE_FAULTS } from './fault-words.ts';
import type { Sender } from './sender.ts';
import { adviceOf, bitrate } from './uplink.ts';

/** What leaves this device, in numbers that keep their places. */
export function Uplink({ sender }: { sender: Sender }) {
  const stats = sender.state.value === 'live' ? sender.latest.value : null;
  return (
    <dl class="uplink tabular" aria-label="Uplink" data-testid="uplink" data-state={sender.state.value}>
      <Figure name="Uplink">{stats && bitrate(stats.bitrate_kbps)}</Figure>
      <Figure name="Picture">{stats && stats.width > 0 && `${stats.width}×${stats.height}`}</Figure>
      <Figure name="Frames">{stats && `${Math.round(stats.frames_per_s)} fps`}</Figure>
      <Figure name="Round trip">{stats?.round_trip_ms != null && `${Math.round(stats.round_trip_ms)} ms`}</Figure>
      <Figure name="Loss">{stats && `${(stats.lost_fraction * 100).toFixed(1)} %`}</Figure>
      <Figure name="Codec">{stats?.codec}</Figure>
    </dl>
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
