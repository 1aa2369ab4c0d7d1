/** What can go wrong while the page fetches and keeps a model: every time words that say what, and a page that goes on. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, launchOnDisk, open } from './browser.js';
import { servePage } from './page_server.js';

let browser, server, context, page;

// A service worker would answer before the faults that are put in here.
const settings = { viewport: { width: 1280, height: 900 }, serviceWorkers: 'block' };

before(async () => {
  browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
  server = await servePage({ tiny: join(process.env.ENGINE_MODELS ?? '', 'tiny/f32') });
  context = await browser.newContext(settings);
});
afterEach(async () => {
  await context.close();
  await server.close();
});

async function visit() {
  ({ page } = await open(context, server.address));
}

/** Changes a file's bytes on their way. */
const damage = (pattern, change) =>
  context.route(pattern, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: change(Buffer.from(await response.body())) });
  });

const problem = () => page.locator('#model-panel .problem');

/** The first tab works without a model, the others once a folder is given. */
async function stillUsable() {
  await page.fill('#note', 'Plan: home. Doing well.');
  await page.getByText(/^1 section, \d sentences/).waitFor();
  if ((await page.getAttribute('#model-settings', 'open')) === null) await page.click('#model-settings summary');
  await page.selectOption('#device', 'wasm');
  await page.setInputFiles('#folder', join(process.env.ENGINE_MODELS ?? '', 'tiny/int8'));
  await page.getByText('your folder is ready').waitFor();
  await page.getByRole('tab', { name: 'Masks' }).click();
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
}

test('a damaged file is refused by name', async () => {
  await damage('**/weights-00002-*', (bytes) => {
    bytes[100] ^= 1;
    return bytes;
  });
  await visit();
  await problem().waitFor();
  assert.match(await problem().textContent(), /weights-00002-of-\d+\.bin/);
  assert.match(await page.textContent('#model-facts'), /weights-00002-of-\d+\.bin arrived damaged and is fetched once more/);
  await stillUsable();
});

test('a missing file and an address that answers with a page are told apart', async () => {
  await context.route('**/weights-00002-*', (route) => route.fulfill({ status: 404 }));
  await visit();
  await problem().waitFor();
  assert.match(await problem().textContent(), /weights-00002-of-\d+\.bin is not there \(the server answered 404\)/);
  await context.unrouteAll();
  await damage('**/manifest.json', () => Buffer.from('<!doctype html>'));
  await visit();
  await problem().waitFor();
  assert.match(await problem().textContent(), /is not JSON: is that the address of a folder/);
  await stillUsable();
});

test('a connection that breaks is taken up again', async () => {
  let breaks = 2;
  await context.route('**/weights-00003-*', (route) => (breaks-- > 0 ? route.abort('connectionreset') : route.continue()));
  await visit();
  await page.getByText('tiny is ready').waitFor();
  assert.equal(breaks, -1);
});

test('where there is no room the model is used, and the page says that it is not kept', async () => {
  await context.close();
  context = await launchOnDisk(settings);
  await visit();
  await page.getByText('tiny is ready').waitFor();
  await page.click('#model-settings summary');
  await page.click('#forget');
  await page.getByText(/^Nothing of a model is kept any more/).waitFor();
  const devtools = await context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: server.address.slice(0, -1), quotaSize: 20_000 });
  await page.click('#load');
  await page.getByText('tiny is ready').waitFor();
  await page.getByText(/is used but not kept for next time: there is no room left/).first().waitFor();
  await stillUsable();
});

test('a window that keeps nothing uses the model all the same', async () => {
  const refuse = `navigator.storage.getDirectory = caches.open = () => Promise.reject(new DOMException('private', 'SecurityError'));`;
  await damage('**/assets/worker-*.js', (script) => Buffer.concat([Buffer.from(refuse), script]));
  await visit();
  await page.getByText('tiny is ready').waitFor();
  await page.getByText('no: this window keeps nothing').waitFor();
  await stillUsable();
});

test('without a GPU, asking for one is answered in words', async () => {
  await visit();
  await page.getByText('tiny is ready').waitFor();
  await page.click('#model-settings summary');
  await page.selectOption('#device', 'webgpu');
  await page.click('#load');
  await problem().waitFor();
  assert.match(await problem().textContent(), /GPU/);
  await stillUsable();
});
