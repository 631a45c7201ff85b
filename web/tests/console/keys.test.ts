import { describe, expect, it } from 'vitest';
import { wishOf } from '../../console/keys.ts';

describe('the console’s keys', () => {
  it('pin by place', () => {
    expect(wishOf({ key: '1' }, true)).toEqual({ do: 'pin', place: 0 });
    expect(wishOf({ key: '9' }, true)).toEqual({ do: 'pin', place: 8 });
  });

  it('unpin with 0 or U, mute for good with Shift alone', () => {
    expect(wishOf({ key: '0' }, true)).toEqual({ do: 'unpin' });
    expect(wishOf({ key: 'u' }, true)).toEqual({ do: 'unpin' });
    expect(wishOf({ key: 'm' }, true)).toEqual({ do: 'mute' });
    expect(wishOf({ key: 'M' }, true)).toEqual({ do: 'mute_for_good' });
  });

  it('leave the browser’s own alone', () => {
    for (const held of ['ctrlKey', 'metaKey', 'altKey'] as const) expect(wishOf({ key: 'd', [held]: true }, true)).toBeNull();
    expect(wishOf({ key: 'Tab' }, true)).toBeNull();
  });

  it('can be turned off, but for help and Escape', () => {
    expect(wishOf({ key: '1' }, false)).toBeNull();
    expect(wishOf({ key: 'd' }, false)).toBeNull();
    expect(wishOf({ key: '?' }, false)).toEqual({ do: 'help' });
    expect(wishOf({ key: 'Escape' }, false)).toEqual({ do: 'leave' });
  });
});
