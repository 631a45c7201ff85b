/** Who is signed in and what the shop is set to, for every page. */

import { computed, signal } from '@preact/signals';
import { api } from '../core/api.ts';
import type { Config, Me } from '../core/types.ts';

/** undefined while loading, null for a guest. */
export const me = signal<Me | null | undefined>(undefined);
export const config = signal<Config | undefined>(undefined);
export const currency = computed(() => config.value?.shop.currency ?? 'USD');
export const isStaff = computed(() => (me.value?.roles.length ?? 0) > 0);

export const hasRole = (...roles: string[]): boolean => roles.some((role) => me.value?.roles.includes(role));

/** Loads both; throws Problem where the shop cannot be reached. */
export async function loadSession(): Promise<void> {
  const [settings, who] = await Promise.all([api.config(), api.me()]);
  config.value = settings;
  me.value = who.user;
  if (who.user) rememberDevice();
}

// --- whether somebody was ever signed in here ------------------------------------------------------------------

const KNOWN_KEY = 'hawker-known';

export function rememberDevice(): void {
  try {
    localStorage.setItem(KNOWN_KEY, '1');
  } catch {
    // Private windows without storage: everybody is new there.
  }
}

/** Who has most likely no account yet. */
export function isNewHere(): boolean {
  try {
    return localStorage.getItem(KNOWN_KEY) === null;
  } catch {
    return true;
  }
}

export async function signOut(): Promise<void> {
  await api.signOut();
  me.value = null;
}

/** `/account/sign-in?next=…` that brings the person back here. */
export function signInUrl(next: string = location.pathname + location.search): string {
  return `/account/sign-in?next=${encodeURIComponent(next)}`;
}

/** A `next` that stays on this site, whatever the address says. */
export function safeNext(next: string | null, fallback = '/'): string {
  return next && /^\/(?![/\\])/.test(next) ? next : fallback;
}

// --- theme ----------------------------------------------------------------------------------------------------

export type Theme = 'system' | 'light' | 'dark';
const THEME_KEY = 'hawker-theme';

export function chosenTheme(): Theme {
  try {
    const chosen = localStorage.getItem(THEME_KEY);
    return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
  } catch {
    return 'system';
  }
}

export function chooseTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    if (theme === 'system') localStorage.removeItem(THEME_KEY);
    else localStorage.setItem(THEME_KEY, theme);
  } catch {
    // Private windows without storage: the choice holds for this page.
  }
}
