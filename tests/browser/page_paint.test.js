/** What is seen before the model is there. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.js';
import { servePage } from './page_server.js';

const VISITS = 5;

let browser, server;

before(async () => {
  [browser, server] = await Promise.all([launch(), servePage({ tiny: join(process.env.ENGINE_MODELS ?? '', 'tiny/f32') })]);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const firstPaint = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const observer = new PerformanceObserver((list) => {
          const paint = list.getEntriesByName('first-contentful-paint')[0];
          if (paint) resolve(paint.startTime);
        });
        observer.observe({ type: 'paint', buffered: true });
      }),
  );

test('note, tabs and words are painted before a byte of engine or model has come', async () => {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  server.before = (path) => (/\.wasm$|^\/models\//.test(path) ? released : Promise.resolve());
  // Without what other visits have left: a context has a cache of its own.
  const page = await browser.newPage();
  await page.goto(server.address);
  const painted = await firstPaint(page);
  assert.ok(painted > 0);
  assert.match(await page.inputValue('#note'), /^Admission Date/);
  assert.equal(await page.getByRole('tab').count(), 4);
  assert.equal(await page.getAttribute('html', 'data-ready'), null, 'nothing can be ready yet');
  release();
  await page.getByText('tiny is ready').waitFor();
  server.before = async () => undefined;
  await page.close();
});

test('how long the first paint takes in a browser that was never here is told', async (context) => {
  const paints = [];
  for (let visit = 0; visit < VISITS; visit += 1) {
    const page = await browser.newPage();
    await page.goto(server.address);
    paints.push(await firstPaint(page));
    await page.getByText('tiny is ready').waitFor();
    await page.close();
  }
  // No limit of time is set: it would judge what else the machine does.
  context.diagnostic(`first contentful paint: ${paints.map((paint) => paint.toFixed(0)).join(', ')} ms`);
  assert.equal(paints.length, VISITS);
});
