import { describe, expect, it } from 'vitest';
import { match, routeOf } from '../../shop/routes.ts';

describe('match', () => {
  it('takes a named segment, decoded', () => {
    expect(match('/products/:handle', '/products/cr%C3%A8me')).toEqual({ handle: 'crème' });
  });
  it('does not care about a slash at the end', () => {
    expect(match('/products', '/products/')).toEqual({});
  });
  it('refuses another length or other words', () => {
    expect(match('/orders/:id', '/orders')).toBeNull();
    expect(match('/orders/:id', '/orders/1/2')).toBeNull();
    expect(match('/office', '/account')).toBeNull();
  });
  it('takes a broken escape as it stands', () => {
    expect(match('/products/:handle', '/products/100%')).toEqual({ handle: '100%' });
  });
});

describe('routeOf', () => {
  it('finds the words before the placeholder', () => {
    expect(routeOf('/account/sign-in')?.route.title).toBe('Sign in');
    expect(routeOf('/account/cards')?.params).toEqual({ part: 'cards' });
    expect(routeOf('/auctions/a1')?.params).toEqual({ id: 'a1' });
  });
  it('knows when there is nothing', () => {
    expect(routeOf('/nowhere')).toBeNull();
  });
});
