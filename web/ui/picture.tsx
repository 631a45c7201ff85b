import { imageAt } from '../core/api.ts';
import { Icon } from './icons.tsx';

/** A product's image in a box that keeps its shape, with a quiet stand-in where there is none. */
export function Picture(props: { url?: string | null; alt: string; width: 96 | 320 | 640 | 1280; sizes?: string; eager?: boolean }) {
  const { url, alt, width, sizes, eager } = props;
  if (!url)
    return (
      <span class="picture none" role={alt ? 'img' : undefined} aria-label={alt || undefined}>
        <Icon name="tag" size={24} />
      </span>
    );
  const sized = imageAt(url, width) !== imageAt(url, width === 96 ? 320 : 96);
  const srcset = sized ? ([96, 320, 640, 1280] as const).map((w) => `${imageAt(url, w)} ${w}w`).join(', ') : undefined;
  return (
    <img
      class="picture"
      src={imageAt(url, width)}
      srcset={srcset}
      sizes={srcset ? (sizes ?? `${width / 2}px`) : undefined}
      alt={alt}
      loading={eager ? 'eager' : 'lazy'}
      decoding="async"
    />
  );
}
