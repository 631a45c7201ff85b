import { useEffect, useState } from 'preact/hooks';
import { api } from '../core/api.ts';
import { date } from '../core/format.ts';
import { asProblem, type Problem } from '../core/problem.ts';
import { Button, IconButton } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import type { DeskStore } from '../ui/desk/store.ts';
import { ProblemNote, Skeleton, toast } from '../ui/status.tsx';

interface KeyHint {
  hint: string;
  created_at: string;
}

/** The second way on air: OBS or any other WHIP encoder, with an address and a key. */
export function Encoder({ store }: { store: DeskStore }) {
  const path = `/shows/${store.options.showId}/stream-key`;
  const [known, setKnown] = useState<KeyHint | null | undefined>(undefined);
  const shown = store.kept<string | null>('stream key', null);
  const key = shown.value;
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  const load = () =>
    api.staff.get<KeyHint | null>(path).then(
      (hint) => (setKnown(hint), setProblem(null)),
      (error) => setProblem(asProblem(error)),
    );
  useEffect(() => void load(), [path]);

  const rotate = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const made = await api.staff.post<{ key: string; hint: string }>(path);
      shown.value = made.key;
      setKnown({ hint: made.hint, created_at: new Date().toISOString() });
      setAsking(false);
    } catch (error) {
      setProblem(asProblem(error));
      setAsking(false);
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="encoder panel-body" data-testid="encoder">
      <h3>Stream with OBS or another encoder</h3>
      <p class="small muted">In OBS 30 or newer: Settings, Stream, service WHIP. Put the address into Server and the key into Bearer Token. H.264 with keyframes every 2 s and no B-frames works best.</p>
      <Secret label="Server" value={`${location.origin}/whip`} testid="whip-url" />
      {key ? (
        <>
          <Secret label="Stream key" value={key} testid="stream-key" />
          <p class="small key-once" role="status">Copy it now: it is not shown again. Whoever has it can send this show’s picture.</p>
        </>
      ) : (
        <div class="secret">
          <span class="secret-label">Stream key</span>
          <span class="secret-row">
            <span class="muted small" data-testid="stream-key-hint">
              {known === undefined ? <Skeleton width="9rem" /> : known ? `Ends in ${known.hint}, made ${date(known.created_at)}` : 'None made yet'}
            </span>
          </span>
        </div>
      )}
      <Button size="s" icon="key" busy={busy} disabled={store.state.value === 'ended'} onClick={() => (known ? setAsking(true) : void rotate())} testid="rotate-key">
        {known ? 'Make a new key' : 'Make a key'}
      </Button>
      <ProblemNote problem={problem} retry={() => void load()} />
      <Dialog
        open={asking}
        onClose={() => setAsking(false)}
        title="Make a new key?"
        size="s"
        testid="rotate-dialog"
        footer={
          <div class="row spread">
            <Button kind="quiet" onClick={() => setAsking(false)}>
              Keep the key
            </Button>
            <Button kind="primary" icon="key" busy={busy} onClick={() => void rotate()} testid="rotate-key-confirm">
              Make a new key
            </Button>
          </div>
        }
      >
        <p>The key that ends in {known?.hint} stops working. An encoder that uses it can’t come back without the new one.</p>
      </Dialog>
    </div>
  );
}

function Secret({ label, value, testid }: { label: string; value: string; testid: string }) {
  const copy = () =>
    navigator.clipboard.writeText(value).then(
      () => toast(`${label} copied.`, 'ok'),
      () => toast('Copying is not allowed here: select the text and copy it.', 'warn'),
    );
  return (
    <div class="secret">
      <span class="secret-label">{label}</span>
      <span class="secret-row">
        <code data-testid={testid} tabIndex={0}>
          {value}
        </code>
        <IconButton size="s" icon="copy" label={`Copy ${label.toLowerCase()}`} onClick={() => void copy()} testid={`copy-${testid}`} />
      </span>
    </div>
  );
}
