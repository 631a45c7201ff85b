import { Skeleton } from '../ui/status.tsx';
import type { PageProps } from './routes.ts';

export function OrderPage(_: PageProps) {
  return <Skeleton height="16rem" />;
}
