import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const page = (name: string) => resolve(import.meta.dirname, name, 'index.html');

/** Writes .br and .gz beside what shrinks by it: the web role sends them as they are and spends no time on it. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      const dist = resolve(import.meta.dirname, 'dist');
      for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = resolve(entry.parentPath, entry.name);
        const content = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }));
      }
    },
  };
}

// Every page is one HTML entry. The web role serves dist/ and maps addresses to entries; `/` paths below are absolute
// so that a page works at any depth.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [compressed()],
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
  test: { include: ['**/*.test.ts', '**/*.test.tsx'], exclude: ['node_modules/**', 'dist/**'], environment: 'node', testTimeout: 60_000, hookTimeout: 60_000 },
});
