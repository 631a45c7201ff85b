import { describe, expect, it } from 'vitest';
import { newestLast } from '../../shop/loaded.ts';

describe('what changes faster than the shop answers', () => {
  it('is sent one at a time, the newest last, those between left out', async () => {
    const sent: number[] = [];
    const answers: (() => void)[] = [];
    const save = newestLast((value: number) => {
      sent.push(value);
      return new Promise<void>((done) => answers.push(done));
    });
    const all = [save(1), save(2), save(3)];
    expect(sent).toEqual([1]);
    answers[0]!();
    await Promise.resolve();
    await Promise.resolve();
    expect(sent).toEqual([1, 3]);
    answers[1]!();
    await Promise.all(all);
    expect(sent).toEqual([1, 3]);
  });

  it('is begun anew after a failure, which everybody who waits is told', async () => {
    let works = false;
    const save = newestLast(async () => {
      if (!works) throw new Error('offline');
    });
    await expect(Promise.allSettled([save(1), save(2)])).resolves.toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
    works = true;
    await expect(save(3)).resolves.toBeUndefined();
  });
});
