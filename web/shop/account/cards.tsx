import { useState } from 'preact/hooks';
import { api } from '../../core/api.ts';
import { isExpired } from '../../core/format.ts';
import { Button } from '../../ui/button.tsx';
import { Sheet } from '../../ui/dialog.tsx';
import { CardForm } from '../../ui/forms/card.tsx';
import { Icon } from '../../ui/icons.tsx';
import { PageHead } from '../../ui/shell.tsx';
import { Badge, Empty, ProblemNote, Skeleton, toast, toastProblem } from '../../ui/status.tsx';
import { useLoaded } from '../loaded.ts';
import { cardWords } from '../order-parts.tsx';

export function Cards() {
  const { value, problem, reload } = useLoaded(() => api.cards());
  const [adding, setAdding] = useState(false);
  const done = (words: string) => () => {
    setAdding(false);
    toast(words, 'ok');
    reload();
  };
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)} testid="add-card">
      Add a card
    </Button>
  );
  return (
    <>
      <PageHead title="Cards" lead="Kept by the payment provider. We see the brand and the last four digits." actions={value?.cards.length ? add : null} />
      <ProblemNote problem={problem} retry={reload} />
      {!value && !problem && <Skeleton height="9rem" />}
      {value?.cards.length === 0 && (
        <Empty icon="card" title="No card yet" action={add}>
          With one saved, buying takes one tap.
        </Empty>
      )}
      <ul class="cells" data-testid="cards">
        {value?.cards.map((card) => (
          <li key={card.id} class="card cell">
            <div class="row">
              <Icon name="card" size={24} />
              <span class="grow stacked">
                <b>{cardWords(card)}</b>
                <span class={`small ${isExpired(card) ? 'wrong' : 'muted'}`}>
                  {isExpired(card) ? 'Expired' : 'Expires'} {String(card.exp_month).padStart(2, '0')}/{card.exp_year}
                </span>
              </span>
            </div>
            {card.is_default && <Badge tone="brand">Used first</Badge>}
            <div class="cell-foot">
              {!card.is_default && (
                <Button size="s" onClick={() => void api.preferCard(card.id).then(done(`${cardWords(card)} is used first now.`), toastProblem)} testid="prefer-card">
                  Use first
                </Button>
              )}
              <Button size="s" onClick={() => void api.removeCard(card.id).then(done('Card removed.'), toastProblem)} testid="remove-card">
                Remove<span class="visually-hidden"> {cardWords(card)}</span>
              </Button>
            </div>
          </li>
        ))}
      </ul>
      <Sheet open={adding} onClose={() => setAdding(false)} title="New card" testid="card-sheet">
        {adding && <CardForm onDone={(card) => done(`${cardWords(card)} is saved.`)()} />}
      </Sheet>
    </>
  );
}
