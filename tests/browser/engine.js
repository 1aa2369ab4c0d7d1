/** The engine's test page in a browser that has WebGPU, on a software renderer. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from './serve.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const FLAGS = [
  // Tests run as root in containers, where Chromium's sandbox cannot start and /dev/shm is small.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--ignore-gpu-blocklist',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--js-flags=--expose-gc',
];

/** Browser, server and page; `models` is the folder that `engine_models` wrote. */
export async function start() {
  const models = process.env.ENGINE_MODELS;
  const executablePath = process.env.CHROMIUM;
  if (!models || !executablePath) throw new Error('ENGINE_MODELS and CHROMIUM must be set; `cargo xtask test web` sets them');
  const server = await serve({ '/models/': models, '/package/': here('../../web/dist'), '/': here('engine') });
  const launched = await chromium.launchServer({ executablePath, headless: true, args: FLAGS });
  const browser = await chromium.connect(launched.wsEndpoint());
  return {
    /** A new page that has the package and what `engine/page.js` defines. */
    async open() {
      const page = await browser.newPage();
      page.setDefaultTimeout(0);
      await page.goto(server.address);
      await page.locator('html[data-ready=true]').waitFor();
      return page;
    },
    /** Bytes of memory that is the browser's own, over all its processes. */
    memory: () => processes(launched.process().pid).reduce((sum, pid) => sum + anonymous(pid), 0),
    async stop() {
      await browser.close();
      await launched.close();
      await server.close();
    },
  };
}

/** A process and everything that it started. */
function processes(root) {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const status = statusOf(pid);
    const parent = /^PPid:\s+(\d+)/m.exec(status)?.[1];
    if (parent) parents.set(Number(pid), Number(parent));
  }
  const found = [root];
  for (const pid of found) found.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child));
  return found;
}

function anonymous(pid) {
  const status = statusOf(pid);
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return of('RssAnon') + of('RssShmem');
}

function statusOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    // It has ended meanwhile.
    return '';
  }
}
