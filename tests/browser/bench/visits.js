/**
 * A first and a second visit as users have them: a profile on disk, models kept by both pages, and nobody who listens to the network, which
 * alone costs a tab 4 µs a kilobyte.
 *
 *   node visits.js YARDSTICK OUR_PAGE CHROMIUM MODELS CASES ROUNDS
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [yardstick, page, chromium, models, cases, rounds] = process.argv.slice(2);
const { serve } = await import(pathToFileURL(join(yardstick, 'server.mjs')));

/** Longest time for a visit, in milliseconds. */
const PATIENCE = 120_000;
const SCRIPTS = { ours: '/pages/ours/kept.js', 'transformers.js': '/pages/transformers.js/bench.js' };
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--no-first-run',
  '--ignore-gpu-blocklist', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--remote-debugging-port=0',
];

async function visit(profile, address) {
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, address], { stdio: 'ignore', detached: true });
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  try {
    for (const until = Date.now() + PATIENCE; Date.now() < until; await wait(500)) {
      const title = await titleIn(profile).catch(() => '');
      if (title.startsWith('failed')) return { failed: title };
      const [load_ms, first_ms] = title.split(' ').map(Number);
      if (load_ms > 0 && first_ms > 0) return { load_ms, first_ms };
    }
    return { failed: `no answer in ${PATIENCE / 1000} s` };
  } finally {
    // What it has kept is on disk only after it has ended by itself.
    browser.kill('SIGTERM');
    await Promise.race([ended, wait(5000)]);
    process.kill(-browser.pid, 'SIGKILL');
  }
}

async function titleIn(profile) {
  const [port] = (await readFile(join(profile, 'DevToolsActivePort'), 'utf8')).split('\n');
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  return targets.find(({ type }) => type === 'page')?.title ?? '';
}

async function longestText(model) {
  const lines = (await readFile(join(yardstick, 'models', model, 'texts.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line).text).reduce((a, b) => (b.length > a.length ? b : a));
}

const server = await serve([
  ['/pages/ours/', page],
  ['/pages/transformers.js/', join(yardstick, 'pages/transformers.js')],
  ['/models/', join(yardstick, 'models')],
  ['/node_modules/', join(yardstick, 'node_modules')],
  ['/', yardstick],
]);
for (let round = 0; round < Number(rounds); round += 1) {
  for (const model of models.split(',')) {
    const text = await longestText(model);
    for (const [device, dtype] of cases.split(',').map((one) => one.split(':'))) {
      for (const [name, script] of Object.entries(SCRIPTS)) {
        const profile = await mkdtemp(join(tmpdir(), 'clinicalbert-visit-'));
        for (const number of [1, 2]) {
          await rm(join(profile, 'DevToolsActivePort'), { force: true });
          const address = `${server.origin}/pages/ours/visit.html?${new URLSearchParams({ script, model, device, dtype, text })}`;
          console.log(JSON.stringify({ kind: 'visit', page: name, model, device, dtype, visit: number, ...(await visit(profile, address)) }));
        }
        await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      }
    }
  }
}
server.close();
