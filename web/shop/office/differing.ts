/** Only what was changed: another's change to the rest stays, and the activity list says what it was. Pure. */
export function differing<Fields extends object>(now: Fields, before: Fields): Partial<Fields> {
  const same = (name: keyof Fields) => JSON.stringify(now[name]) === JSON.stringify(before[name]);
  return Object.fromEntries(Object.entries(now).filter(([name]) => !same(name as keyof Fields))) as Partial<Fields>;
}
