import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const page = (name: string) => resolve(import.meta.dirname, name, 'index.html');

// Every page is one HTML entry. The web role serves dist/ and maps addresses to entries; `/` paths below are absolute
// so that a page works at any depth.
export default defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // light-dark() and native nesting stay as written: every browser with usable WebRTC simulcast has them.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // No data: URLs, so that the content security policy can do without them.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { shop: page('shop'), show: page('show'), studio: page('studio'), console: page('console') },
    },
  },
  server: { host: '127.0.0.1' },
  test: { include: ['**/*.test.ts', '**/*.test.tsx'], exclude: ['node_modules/**', 'dist/**'], environment: 'node' },
});
