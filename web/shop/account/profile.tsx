import { useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { Button } from '../../ui/button.tsx';
import { Checkbox, Field } from '../../ui/field.tsx';
import { me } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Note, ProblemNote, toast, toastProblem } from '../../ui/status.tsx';
import { useDoing } from '../loaded.ts';

export function Profile() {
  const person = me.value!;
  const [name, setName] = useState(person.display_name);
  const { busy, problem, run } = useDoing();
  const save = async (event: Event) => {
    event.preventDefault();
    if (await run(async () => (me.value = await api.updateMe({ display_name: name })))) toast('Saved.', 'ok');
  };
  return (
    <>
      <PageHead title="Profile" />
      <div class="stack narrow">
        {!person.email_verified && <Unverified email={person.email} />}
        <form class="card form" onSubmit={save}>
          <ProblemNote problem={problem && !problem.fields['display_name'] ? problem : null} />
          <Field
            label="Name"
            name="display_name"
            value={name}
            onValue={setName}
            autocomplete="name"
            maxLength={60}
            required
            hint="Shown next to your comments."
            problem={problem?.fields['display_name']}
            testid="display-name"
          />
          <div>
            <p class="label">E-mail</p>
            <p class="row wrap">
              {person.email}
              {person.email_verified && (
                <Badge tone="ok" icon="check">
                  Confirmed
                </Badge>
              )}
            </p>
          </div>
          <div class="row">
            <Button type="submit" kind="primary" busy={busy} disabled={!name.trim() || name === person.display_name} testid="save-profile">
              Save
            </Button>
          </div>
        </form>
        <Consent />
      </div>
    </>
  );
}

/** Whether the room may learn who bought: asked, never assumed; saved as it is ticked. */
function Consent() {
  const person = me.value!;
  const first = person.display_name.trim().split(/\s+/)[0];
  const change = (shown: boolean) => {
    me.value = { ...person, show_first_name: shown };
    api.updateMe({ show_first_name: shown }).then(
      (saved) => {
        me.value = saved;
        toast(shown ? `Shows will say “${first}” when you buy.` : 'Your purchases stay without a name.', 'ok');
      },
      (error) => {
        me.value = person;
        toastProblem(error);
      },
    );
  };
  return (
    <section class="card stack" aria-labelledby="consent">
      <h2 id="consent">When you buy in a show</h2>
      <Checkbox label={`Tell the room, as “${first}”`} checked={person.show_first_name} onValue={change} testid="show-first-name" />
      <p class="small muted">Only your first name, never your full name. You can choose again with each purchase.</p>
    </section>
  );
}

function Unverified({ email }: { email: string }) {
  const [sent, setSent] = useState(false);
  const { busy, problem, run } = useDoing();
  const send = async () => setSent(await run(() => api.resendVerification()));
  return (
    <>
      <Note
        tone="warn"
        title="Your e-mail is not confirmed yet"
        action={
          !sent && (
            <Button size="s" busy={busy} onClick={() => void send()} testid="resend">
              Send the link again
            </Button>
          )
        }
      >
        {sent ? `A new link is on its way to ${email}.` : `Open the link we sent to ${email}, so that receipts reach you.`}
      </Note>
      <ProblemNote problem={problem} />
    </>
  );
}
