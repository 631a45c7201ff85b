import type { ComponentChildren } from 'preact';
import type { IconName } from '../ui/icons.tsx';
import { Empty } from '../ui/status.tsx';

/** A whole page that is not there: the same words as its heading for those who jump by headings. */
export function Lost(props: { icon: IconName; title: string; children: ComponentChildren; action: ComponentChildren }) {
  return (
    <>
      <h1 class="visually-hidden">{props.title}</h1>
      <Empty {...props} />
    </>
  );
}
