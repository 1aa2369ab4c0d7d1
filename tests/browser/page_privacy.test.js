/** What is asked of the network, and what stays behind: nothing of a note. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { visits } from './page_visit.js';

/** Stands nowhere but in the notes of these tests. */
const SECRET = 'Xyzzyplugh';

const visit = visits();

/** Uses every tab, to its end. */
async function useEverything() {
  const { page, tab } = visit;
  await page.fill('#note', `${SECRET} aa ab. Zz zy ${SECRET}.`);
  await page.check('#show-pieces');
  await page.locator('.piece').first().waitFor();
  await tab('Similarity');
  await page.click('#embed');
  await page.getByText(/^2 sentences embedded/).waitFor();
  await page.hover('#map');
  await tab('Surprise');
  await page.click('#surprise');
  await page.getByText(/words in/).waitFor();
  await page.locator('#heat span').first().hover();
  await page.click('#heat-word button');
  await page.getByText(/^Filled in/).waitFor();
  await page.fill('#masked', `aa [MASK] ${SECRET}.`);
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
}

test('once the model is there nothing is asked of the network, also by the worker, and it works with the cable out', async () => {
  const { page, context, server } = visit;
  await visit.choose('tiny');
  await page.waitForTimeout(300);
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const before = server.requests.length;
  await context.setOffline(true);
  server.isDown = true;
  await useEverything();
  await page.waitForTimeout(300);
  assert.deepEqual(asked, []);
  assert.deepEqual(server.requests.slice(before), []);
  assert.equal(await page.textContent('#requests'), '0');
  await visit.noTroubles();
});

test('a request of the worker would be counted where everybody sees it', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await visit.tab('Masks');
  for (const expected of ['0', '1']) {
    if (expected === '1') await page.workers()[0].evaluate((address) => fetch(address).then(() => undefined), visit.server.address);
    await page.click('#fill');
    await page.getByText(/^Filled in/).waitFor();
    await page.waitForFunction((count) => document.getElementById('requests').textContent === count, expected);
  }
});

test('nothing of a note stays in storage, address, console or errors, and no request ever left for elsewhere', async () => {
  const { page, context, server } = visit;
  const everywhere = [];
  context.on('request', (request) => everywhere.push(request.url()));
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  // A load that is cut off by leaving the page is no fault.
  await page.getByText('tiny is ready').waitFor();
  await page.reload();
  await page.locator('html[data-ready=true]').waitFor();
  await visit.choose('tiny');
  await useEverything();
  await page.fill('#masked', `${SECRET} ${'aa '.repeat(600)} [MASK]`);
  await page.click('#fill');
  const problem = page.locator('#fill-action .problem');
  await problem.waitFor();
  const kept = await page.evaluate(async () => {
    const files = [];
    const walk = async (folder) => {
      for await (const entry of folder.values()) {
        files.push(entry.name);
        if (entry.kind === 'directory') await walk(entry);
        else files.push(await (await entry.getFile()).text());
      }
    };
    await walk(await navigator.storage.getDirectory());
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) files.push(request.url);
    }
    const databases = (await indexedDB.databases()).map(({ name }) => name);
    return [...files, ...databases, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, location.href, document.title, JSON.stringify(history.state)];
  });
  const state = JSON.stringify(await context.storageState());
  const all = [...kept, ...said, ...visit.opened.troubles, ...server.requests, ...everywhere, state, await problem.textContent()];
  for (const text of all) assert.ok(!text.includes(SECRET));
  for (const url of everywhere) assert.ok(url.startsWith(server.address) || url.startsWith('data:'), url);
  await visit.noTroubles();
});

test('a result is saved as a file when somebody asks for it, under a name that tells nothing, and asks nothing of the network', async () => {
  const { page, server } = visit;
  await visit.choose('tiny');
  await useEverything();
  const before = server.requests.length;
  for (const [tab, button, name, has] of [
    ['Sections', '#save-sections', 'sections.json', ({ sentences }) => sentences[0].text],
    ['Similarity', '#save-similarity', 'similarity.json', ({ sentences, vectors }) => vectors.length === 2 && vectors[0].length === 32 && sentences[0].text],
    ['Masks', '#save-fill', 'masks.json', ({ text, together }) => together.length === 5 && text],
    ['Surprise', '#save-surprise', 'surprise.json', (words) => words.length === 8 && words.every(({ nats, probability }) => Math.abs(Math.exp(-nats) - probability) < 1e-12) && words[0].text],
  ]) {
    await visit.tab(tab);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
    assert.equal(download.suggestedFilename(), name);
    const saved = has(JSON.parse(await readFile(await download.path(), 'utf8')));
    assert.match(String(saved), new RegExp(SECRET), tab);
  }
  assert.deepEqual(server.requests.slice(before), []);
  assert.equal(await page.textContent('#requests'), '0');
  await visit.noTroubles();
});
