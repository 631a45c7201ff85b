/** Initials on one of eight quiet colours, always the same for the same person. */

export function hueOf(seed: string): number {
  let hash = 2166136261;
  for (let index = 0; index < seed.length; index++) hash = Math.imul(hash ^ seed.charCodeAt(index), 16777619);
  return (hash >>> 0) % 8;
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0]!, words[words.length - 1]!] : words;
  return letters.map((word) => [...word][0]!.toLocaleUpperCase()).join('') || '?';
}

export function Avatar(props: { name: string; seed?: string; size?: number }) {
  const { name, seed = name, size = 32 } = props;
  return (
    <span
      class={`avatar hue-${hueOf(seed)}`}
      style={{ width: `${size}px`, height: `${size}px`, fontSize: `${Math.round(size * 0.38)}px` }}
      data-initials={initials(name)}
      aria-hidden="true"
    />
  );
}
