import './base.css';
import './parts.css';
import { Component, render, type ComponentChildren } from 'preact';
import { asProblem } from '../core/problem.ts';
import { Button } from './button.tsx';
import { Empty } from './status.tsx';

/** Puts a page on the screen; an error in it becomes words and a way out, never a blank. */
export function start(page: ComponentChildren): void {
  render(<Guard>{page}</Guard>, document.getElementById('app')!);
}

export class Guard extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };

  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <Failed error={this.state.error} />;
  }
}

/** The whole page could not be shown. */
export function Failed(props: { error: unknown; retry?: () => void }) {
  const problem = asProblem(props.error);
  return (
    <div role="alert" data-testid="failed">
      <Empty
        icon="alert"
        title={problem.message}
        action={
          <Button kind="primary" icon="refresh" onClick={props.retry ?? (() => location.reload())}>
            Try again
          </Button>
        }
      >
        {problem.whatToDo || 'Try again; if it stays like this, tell the shop.'} <small>({problem.code})</small>
      </Empty>
    </div>
  );
}
