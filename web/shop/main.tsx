import { useEffect } from 'preact/hooks';
import { loadSession } from '../ui/session.ts';
import { Shell } from '../ui/shell.tsx';
import { start } from '../ui/start.tsx';
import { Skeleton, toastProblem } from '../ui/status.tsx';

function Page() {
  useEffect(() => void loadSession().catch(toastProblem), []);
  return (
    <Shell>
      <Skeleton height="8rem" />
    </Shell>
  );
}

start(<Page />);
