import { Skeleton } from '../ui/status.tsx';
import type { PageProps } from './routes.ts';

export function Products(_: PageProps) {
  return <Skeleton height="16rem" />;
}
export function ProductPage(_: PageProps) {
  return <Skeleton height="16rem" />;
}
