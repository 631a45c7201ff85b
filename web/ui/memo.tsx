import { Component, type ComponentType } from 'preact';

/** The same component, rendered anew only when a prop is another value (or a signal it reads changed). */
export function memo<Props extends object>(Inner: ComponentType<Props>): ComponentType<Props> {
  return class Memo extends Component<Props> {
    override shouldComponentUpdate(next: Readonly<Props>): boolean {
      const before = this.props as Record<string, unknown>;
      const after = next as Record<string, unknown>;
      const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
      return [...keys].some((key) => before[key] !== after[key]);
    }
    override render() {
      return <Inner {...(this.props as Props)} />;
    }
  };
}
