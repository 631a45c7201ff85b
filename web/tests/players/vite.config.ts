import { resolve } from 'node:path';
import { defineConfig } from 'vite';

// One script to inject into a page. `outDir` comes from the command line.
export default defineConfig({
  root: import.meta.dirname,
  build: {
    lib: { entry: resolve(import.meta.dirname, 'entry.ts'), formats: ['iife'], name: 'players', fileName: () => 'players.js' },
    emptyOutDir: true,
  },
});
