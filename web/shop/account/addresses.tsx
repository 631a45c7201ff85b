import { useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import type { Address } from '../../core/types.ts';
import { Button } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { AddressForm } from '../../ui/forms/address.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Empty, ProblemNote, Skeleton, toast, toastProblem } from '../../ui/status.tsx';
import { useLoaded } from '../loaded.ts';
import { AddressBlock } from '../order-parts.tsx';

export function Addresses() {
  const { value, problem, reload } = useLoaded(() => api.addresses());
  const [editing, edit] = useState<Address | 'new' | null>(null);
  const done = (words: string) => () => {
    edit(null);
    toast(words, 'ok');
    reload();
  };
  const add = (
    <Button kind="primary" icon="plus" onClick={() => edit('new')} testid="add-address">
      Add an address
    </Button>
  );
  return (
    <>
      <PageHead title="Addresses" lead="Where your orders go." actions={value?.addresses.length ? add : null} />
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="11rem" />}
      {value?.addresses.length === 0 && (
        <Empty icon="home" title="No address yet" action={add}>
          With one saved, buying takes one tap.
        </Empty>
      )}
      <ul class="cells" data-testid="addresses">
        {value?.addresses.map((address) => (
          <li key={address.id} class="card cell">
            <div class="grow">
              <AddressBlock address={address} />
            </div>
            {address.is_default && <Badge tone="brand">Used first</Badge>}
            <div class="cell-foot">
              <Button size="s" icon="edit" onClick={() => edit(address)}>
                Edit<span class="visually-hidden"> {address.line1}</span>
              </Button>
              {!address.is_default && (
                <Button size="s" onClick={() => void api.updateAddress(address.id, { is_default: true }).then(done('Used first from now on.'), toastProblem)}>
                  Use first
                </Button>
              )}
              <Button size="s" onClick={() => void api.removeAddress(address.id).then(done('Address removed.'), toastProblem)} testid="remove-address">
                Remove<span class="visually-hidden"> {address.line1}</span>
              </Button>
            </div>
          </li>
        ))}
      </ul>
      <Sheet open={editing !== null} onClose={() => edit(null)} title={editing === 'new' ? 'New address' : 'Edit address'} testid="address-sheet">
        {editing && <AddressForm {...(editing === 'new' ? {} : { address: editing })} onDone={done('Address saved.')} />}
      </Sheet>
    </>
  );
}
