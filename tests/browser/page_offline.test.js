/** The page without a network, and the page after a newer one has been put on the server. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, open } from './browser.js';
import { BUILT, servePage } from './page_server.js';

let browser, server, context, folder;

before(async () => {
  [browser, folder] = await Promise.all([launch(), mkdtemp(join(tmpdir(), 'clinicalbert-page-'))]);
});
after(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true });
});
beforeEach(async () => {
  server = await servePage({ tiny: join(process.env.ENGINE_MODELS ?? '', 'tiny/f32') });
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
});
afterEach(async () => {
  await context.close();
  await server.close();
});

/** Opens the page and waits for its model. */
async function visit() {
  const { page } = await open(context, server.address);
  await page.getByText('tiny is ready').waitFor();
  return page;
}

const caches = (page) => page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('clinicalbert-page ')));

test('after the first visit the page opens without a network, its model too', async () => {
  await (await visit()).getByText('The page is kept in this browser').waitFor();
  server.isDown = true;
  await context.setOffline(true);
  const page = await visit();
  await page.getByRole('tab', { name: 'Surprise' }).click();
  await page.click('#surprise');
  await page.getByText(/words in/).waitFor({ timeout: 60_000 });
});

/** The page as a later build would be: another script, hence another name of it, another page and another service worker. */
async function putNewerPage() {
  const newer = join(folder, 'newer');
  await cp(BUILT, newer, { recursive: true });
  const page = await readFile(join(newer, 'index.html'), 'utf8');
  const [, script] = /src="\.\/(assets\/index-[\w-]+\.js)"/.exec(page);
  const renamed = script.replace(/index-.*/, 'index-NEWER.js');
  await cp(join(newer, script), join(newer, renamed));
  await rm(join(newer, script));
  await writeFile(join(newer, 'index.html'), page.replace(script, renamed).replace('<h1>', '<h1 data-build="newer">'));
  const worker = await readFile(join(newer, 'service-worker.js'), 'utf8');
  await writeFile(join(newer, 'service-worker.js'), worker.replace(script, renamed).replace(/clinicalbert-page \w+/, 'clinicalbert-page newer'));
  server.page = newer;
}

test('a newer page replaces the one that is kept once its tabs are closed, and nothing of the old one stays', async () => {
  const first = await visit();
  await first.getByText('The page is kept in this browser').waitFor();
  const [old] = await caches(first);
  assert.match(old, /^clinicalbert-page [0-9a-f]{16}$/);
  await putNewerPage();

  const second = await visit();
  assert.equal(await second.locator('h1[data-build]').count(), 0, 'whole and old, as the tab beside it');
  await second.getByText('A newer version of this page has arrived').waitFor();
  await second.getByRole('tab', { name: 'Masks' }).click();
  await second.click('#fill');
  await second.getByText(/^Filled in/).waitFor();
  assert.deepEqual((await caches(second)).sort(), [old, 'clinicalbert-page newer'].sort());

  await first.close();
  await second.close();
  const third = await visit();
  await third.locator('h1[data-build=newer]').waitFor();
  await third.getByText('The page is kept in this browser').waitFor();
  assert.deepEqual(await caches(third), ['clinicalbert-page newer']);
  server.isDown = true;
  await context.setOffline(true);
  await (await visit()).locator('h1[data-build=newer]').waitFor();
});
