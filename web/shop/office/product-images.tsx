import { useEffect, useRef, useState } from 'preact/hooks';
import { asProblem, type Problem } from '../../core/problem.ts';
import type { ProductImage } from '../../core/types.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { moved } from '../../ui/desk/run.ts';
import { Dialog } from '../../ui/dialog.tsx';
import { Field } from '../../ui/field.tsx';
import { Picture } from '../../ui/picture.tsx';
import { Note, ProblemNote } from '../../ui/status.tsx';
import { useDoing, useSaving } from '../loaded.ts';
import { Asking, FilePick, Panel } from './parts.tsx';
import { may, staff, type WholeProduct } from './staff.ts';

const MOST_IMAGE_BYTES = 15_000_000;

/** The product's pictures in their order, and what each shows. */
export function Images({ product, onChanged }: { product: WholeProduct; onChanged: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<{ name: string; problem: Problem }[]>([]);
  const [images, setImages] = useState(product.images);
  const [described, describe] = useState<ProductImage | null>(null);
  const [said, say] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const moving = useSaving((next: ProductImage[]) => staff.orderImages(product.id, next.map(({ id }) => id)));
  useEffect(() => setImages(product.images), [product]);
  const move = (from: number, to: number, button: 'before' | 'after') => {
    const next = moved(images, from, to);
    setImages(next);
    say(`Picture ${to + 1} of ${images.length} now.`);
    // Focus goes along with the picture, or to the other arrow at an end.
    requestAnimationFrame(() => {
      const place = list.current?.children[to];
      const same = place?.querySelector<HTMLButtonElement>(`[data-move=${button}] button:not(:disabled)`);
      (same ?? place?.querySelector<HTMLButtonElement>('[data-move] button:not(:disabled)'))?.focus();
    });
    void moving.save(next).then((done) => done || onChanged());
  };
  const upload = async (files: File[]) => {
    setBusy(true);
    const failed: { name: string; problem: Problem }[] = [];
    for (const file of files) {
      try {
        if (!file.type.startsWith('image/')) throw new Error('It is no picture.');
        if (file.size > MOST_IMAGE_BYTES) throw new Error('It is larger than 15 MB.');
        await staff.addImage(product.id, file, product.title);
      } catch (error) {
        failed.push({ name: file.name, problem: asProblem(error) });
      }
    }
    setProblems(failed);
    setBusy(false);
    if (failed.length < files.length) onChanged();
  };
  return (
    <Panel
      title="Pictures"
      lead="JPEG, PNG, WebP or AVIF. The first one stands for the product."
      actions={may.editCatalogue() && <FilePick label="Add pictures" accept="image/jpeg,image/png,image/webp,image/avif,image/gif" multiple busy={busy} onFiles={(files) => void upload(files)} testid="add-images" />}
      testid="images"
    >
      <div role="status">
        {problems.map(({ name, problem }) => (
          <Note key={name} tone="danger" title={`${name} was not added`} testid="image-problem">
            {problem.message} {problem.code === 'unexpected' ? 'Choose another one.' : problem.whatToDo}
          </Note>
        ))}
      </div>
      {product.images.length === 0 && <p class="muted small">No picture yet: the shop shows a quiet stand-in.</p>}
      <ProblemNote problem={moving.problem} />
      <p class="visually-hidden" role="status">
        {said}
      </p>
      <ul class="image-grid" ref={list}>
        {images.map((image, index) => (
          <li key={image.id} data-testid="image" data-image={image.id}>
            <Picture url={image.url} alt={image.alt || `Picture ${index + 1}`} width={320} />
            <p class={describes(image, product) ? 'muted small' : 'small undescribed'}>{describes(image, product) ? image.alt : 'Not described yet'}</p>
            {may.editCatalogue() && (
              <span class="image-tools">
                <span data-move="before">
                  <IconButton size="s" icon="chevron_left" label={`Move picture ${index + 1} forward`} disabled={index === 0} onClick={() => move(index, index - 1, 'before')} />
                </span>
                <span data-move="after">
                  <IconButton size="s" icon="chevron_right" label={`Move picture ${index + 1} back`} disabled={index === images.length - 1} onClick={() => move(index, index + 1, 'after')} />
                </span>
                <IconButton size="s" icon="edit" label={`Describe picture ${index + 1}`} aria-haspopup="dialog" onClick={() => describe(image)} testid="describe-image" />
                <Asking
                  label={
                    <>
                      Remove<span class="visually-hidden"> picture {index + 1}</span>
                    </>
                  }
                  title="Remove this picture?"
                  confirm="Remove"
                  kind="danger"
                  size="s"
                  work={async () => {
                    await staff.removeImage(product.id, image.id);
                    onChanged();
                  }}
                >
                  It disappears from the shop and from shows.
                </Asking>
              </span>
            )}
          </li>
        ))}
      </ul>
      <Description product={product} image={described} onClose={() => describe(null)} onChanged={onChanged} />
    </Panel>
  );
}

/** An upload is named after its product until somebody says what it shows. */
const describes = (image: ProductImage, product: WholeProduct): boolean => image.alt !== '' && image.alt !== product.title;

/** What a picture shows, for who can't see it; search engines read it, too. */
function Description(props: { product: WholeProduct; image: ProductImage | null; onClose: () => void; onChanged: () => void }) {
  const { product, image, onClose, onChanged } = props;
  return (
    <Dialog open={image !== null} onClose={onClose} title="What does it show?" testid="describe-dialog">
      {image && <DescriptionForm key={image.id} product={product} image={image} onDone={onClose} onChanged={onChanged} />}
    </Dialog>
  );
}

function DescriptionForm(props: { product: WholeProduct; image: ProductImage; onDone: () => void; onChanged: () => void }) {
  const { product, image, onDone, onChanged } = props;
  const [alt, setAlt] = useState(describes(image, product) ? image.alt : '');
  const { busy, problem, run } = useDoing();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!(await run(() => staff.describeImage(product.id, image.id, alt.trim())))) return;
    onChanged();
    onDone();
  };
  return (
    <form class="form" onSubmit={submit}>
      <div class="describe-picture">
        <Picture url={image.url} alt="" width={640} />
      </div>
      <Field label="Description" name="alt" value={alt} onValue={setAlt} rows={2} maxLength={200} autofocus hint="In a sentence, for people who hear the page: “White mug with a blue rim, from the side.”" testid="image-alt" />
      <ProblemNote problem={problem} />
      <Button type="submit" kind="primary" size="l" wide busy={busy} testid="save-alt">
        Save
      </Button>
    </form>
  );
}
