import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

/** Writes the service worker with the list of this build's files. */
function serviceWorker() {
  return {
    name: 'service-worker',
    generateBundle(_, bundle) {
      const files = ['index.html', ...Object.keys(bundle).filter((file) => file !== 'index.html')].sort();
      // Names of assets hold a hash of their content; the page's own name does not.
      const page = readFileSync(new URL('./index.html', import.meta.url));
      const build = createHash('sha256').update(files.join()).update(page).digest('hex').slice(0, 16);
      const template = readFileSync(new URL('./service-worker.js', import.meta.url), 'utf8');
      const source = template.replace('__BUILD__', build).replace('__FILES__', JSON.stringify(files));
      this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
    },
  };
}

export default defineConfig({
  // The page works from any folder of any server.
  base: './',
  plugins: [serviceWorker()],
  build: {
    target: 'es2022',
    // The page's policy allows no `data:` addresses.
    assetsInlineLimit: 0,
    // Every browser that runs the wasm knows `modulepreload`.
    modulePreload: { polyfill: false },
  },
});
