/** A page with rooms beside it: the account and the back office. */

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon, type IconName } from '../ui/icons.tsx';

export interface RoomLink {
  href: string;
  title: string;
  icon: IconName;
}

/** Down the side where there is width, else a row that scrolls. */
export function Rooms(props: { label: string; links: readonly RoomLink[]; here: string; children: ComponentChildren }) {
  const { label, links, here, children } = props;
  const isHere = (href: string) => here === href || (href !== links[0]?.href && here.startsWith(`${href}/`));
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    const current = nav.current?.querySelector<HTMLElement>('[aria-current]');
    if (current) nav.current!.scrollLeft = current.offsetLeft - (nav.current!.clientWidth - current.offsetWidth) / 2;
  }, [here]);
  return (
    <div class="rooms">
      <nav aria-label={label} class="rooms-nav" ref={nav}>
        {links.map(({ href, title, icon }) => (
          <a key={href} href={href} aria-current={isHere(href) ? 'page' : undefined}>
            <Icon name={icon} size={18} />
            {title}
          </a>
        ))}
      </nav>
      <div class="rooms-main">{children}</div>
    </div>
  );
}
