import { defineConfig } from 'vite';

export default defineConfig({
  // The page works from any folder of any server.
  base: './',
  build: {
    target: 'es2022',
    // The page's policy allows no `data:` addresses.
    assetsInlineLimit: 0,
    // Every browser that runs the wasm knows `modulepreload`.
    modulePreload: { polyfill: false },
  },
});
