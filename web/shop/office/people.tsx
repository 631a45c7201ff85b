import { useState } from 'preact/hooks';
import { date } from '../../core/format.ts';
import { Problem } from '../../core/problem.ts';
import { Avatar } from '../../ui/avatar.tsx';
import { Button } from '../../ui/button.tsx';
import { Field, Select } from '../../ui/field.tsx';
import { me } from '../../ui/session.ts';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, ProblemNote, Skeleton, toast } from '../../ui/status.tsx';
import { useDoing, useLoaded } from '../loaded.ts';
import { Asking, Panel } from './parts.tsx';
import { may, staff, type Member } from './staff.ts';

const ROLES = [
  { value: 'host', label: 'Host: goes on air, pins products' },
  { value: 'moderator', label: 'Moderator: keeps the talk civil' },
  { value: 'producer', label: 'Producer: shows, catalogue, orders' },
  { value: 'owner', label: 'Owner: everything' },
];

export function People() {
  const { value, problem, reload } = useLoaded(() => staff.members());
  return (
    <>
      <PageHead title="People" lead="Who works for the shop, and what each may do." />
      <div class="stack">
        <ProblemNote problem={problem} retry={reload} />
        {!(problem && !value) && (
          <Panel title="Team">
            {!value && <Skeleton height="3rem" lines={3} />}
            <ul class="list" data-testid="members">
              {value?.members.map((member) => (
                <MemberRow key={`${member.user_id} ${member.role}`} member={member} onChanged={reload} />
              ))}
            </ul>
          </Panel>
        )}
        {value && may.managePeople() && <Invitations />}
      </div>
    </>
  );
}

function MemberRow({ member, onChanged }: { member: Member; onChanged: () => void }) {
  const self = member.user_id === me.value?.id;
  return (
    <li class="row" data-testid="member">
      <Avatar name={member.display_name} seed={member.user_id} size={40} />
      <span class="grow stacked">
        <span class="row wrap badges">
          <b>{member.display_name}</b>
          <Badge tone={member.role === 'owner' ? 'brand' : 'plain'}>{capital(member.role)}</Badge>
        </span>
        <span class="muted small clip">
          {member.email}
          <span class="wide-only">, since {date(member.since)}</span>
        </span>
      </span>
      {may.managePeople() && (
        <Asking
          label={
            <>
              Remove<span class="visually-hidden"> {member.display_name} as {member.role}</span>
            </>
          }
          title={self ? 'Give up your own role?' : `Take the role from ${member.display_name}?`}
          confirm={self ? 'Give it up' : 'Take it away'}
          kind="danger"
          size="s"
          work={async () => {
            await staff.removeMember(member.user_id, member.role);
            onChanged();
          }}
        >
          {self ? 'You' : member.display_name} will not be {member.role} any more and {self ? 'are' : 'is'} signed out everywhere. The account and its orders stay.
        </Asking>
      )}
    </li>
  );
}

function Invitations() {
  const { value, problem, reload } = useLoaded(() => staff.invitations());
  const [email, setEmail] = useState('');
  const [role, setRole] = useState('host');
  const { busy, problem: refused, run } = useDoing();
  const submit = async (event: Event) => {
    event.preventDefault();
    const sent = await run(async () => {
      if (!/^\s*[^@\s]+@[^@\s]+\s*$/.test(email)) throw new Problem({ code: 'invalid_body', fields: { email: 'Enter an e-mail address.' } });
      await staff.invite(email.trim(), role);
    });
    if (!sent) return;
    toast(`The invitation to ${email.trim()} is on its way.`, 'ok');
    setEmail('');
    reload();
  };
  return (
    <Panel title="Invite somebody" lead="They get a mail with a link, and need an account with the same address." testid="invitations">
      <ProblemNote problem={problem} retry={reload} />
      <ProblemNote problem={refused && !Object.keys(refused.fields).length ? refused : null} />
      <form class="inline-form" onSubmit={submit} noValidate>
        <Field label="E-mail" name="email" type="email" inputmode="email" value={email} onValue={setEmail} autocomplete="off" problem={refused?.fields['email'] ?? null} testid="invite-email" />
        <Select label="Role" name="role" value={role} onValue={setRole} options={ROLES} testid="invite-role" />
        <Button type="submit" kind="primary" icon="send" busy={busy} testid="invite">
          Invite
        </Button>
      </form>
      {value && value.invitations.length > 0 && (
        <ul class="list">
          {value.invitations.map((invitation) => (
            <li key={invitation.id} class="row">
              <span class="grow stacked">
                <b class="clip">{invitation.email}</b>
                <span class="muted small">
                  {capital(invitation.role)}, open until {date(invitation.expires_at)}
                </span>
              </span>
              <Asking
                label="Withdraw"
                title="Withdraw the invitation?"
                confirm="Withdraw"
                kind="danger"
                size="s"
                work={async () => {
                  await staff.withdraw(invitation.id);
                  reload();
                }}
              >
                The link that {invitation.email} got stops working.
              </Asking>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
