/** Getting a model onto the page: unasked, by choice, from a folder; waiting, cancelling, and what the page says of it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';
import { MODELS, visits } from './page_visit.js';

const tiny = join(MODELS, 'tiny/f32');
const visit = visits();

/** Answers that come late, each after so many milliseconds. */
const late = (milliseconds) => () => new Promise((later) => setTimeout(later, milliseconds));
const atOnce = async () => undefined;

test('the first model is loaded unasked, and whoever is quicker waits for it', async () => {
  let answer;
  const asked = new Promise((resolve) => (answer = resolve));
  visit.server.before = async (path) => path.endsWith('/manifest.json') && (await asked);
  await visit.open();
  const { page } = visit;
  await visit.tab('Masks');
  await page.click('#fill');
  await page.getByText('Waiting for the model…').waitFor();
  answer();
  await page.getByText(/^Filled in/).waitFor();
  assert.match(await page.textContent('#model-action'), /tiny is ready, after/);
  await visit.noTroubles();
});

test('where a server has no model the page says so, and every tab that one is needed', async () => {
  const bare = await servePage({});
  await visit.open(bare.address);
  const { page } = visit;
  await page.getByText('This server has no model: choose a folder of your own.').waitFor();
  for (const [name, button] of [['Similarity', '#embed'], ['Masks', '#fill'], ['Surprise', '#surprise']]) {
    await visit.tab(name);
    await page.click(button);
    await page.getByRole('tabpanel').getByText('Load a model first.').waitFor();
  }
  await visit.noTroubles();
  await bare.close();
});

test('a browser that is to save data is asked before a model is loaded', async () => {
  await visit.page.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await visit.page.goto(visit.server.address);
  const asked = visit.server.requests.length;
  await visit.page.getByText(/^Not loaded yet, because this browser is to save data: \w+, \d+ kB\.$/).waitFor();
  assert.ok(!visit.server.requests.slice(asked).some((request) => request.includes('weights')));
  await visit.page.click('#load');
  await visit.page.getByText('tiny is ready').waitFor();
});

test('model, precision and device are chosen, and the page says what became of it', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  const facts = page.locator('#model-facts');
  assert.match(await facts.textContent(), /Runs onthis processor \(WebAssembly\)GPU checkno GPU is usedModel2 layers, 32 wide, fp32, [\d.]+ \w+/);
  assert.match(await facts.textContent(), /Kept for next timeyes, among the private files of this browser/);
  assert.deepEqual((await page.locator('#precision option').allTextContents()).map((text) => text.split(',')[0]), ['f32', 'int8']);
  await page.locator('#precision').selectOption({ index: 1 });
  await page.click('#load');
  await facts.getByText(/2 layers, 32 wide, int8/).waitFor();
  await visit.choose('mini');
  assert.match(await facts.textContent(), /4 layers, 256 wide, fp32/);
  await visit.noTroubles();
});

test('on a GPU the page says which, that its answers are right, and what was measured', async () => {
  const browser = await launch({ gpu: true });
  try {
    const opened = await open(browser, visit.server.address);
    const { page } = opened;
    await page.getByText('tiny is ready').waitFor({ timeout: 120_000 });
    await page.locator('#model-facts').getByText(/WebAssembly [\d.]+ ms, GPU [\d.]+ m?s/).waitFor();
    await page.click('#model-settings summary');
    await page.selectOption('#device', 'webgpu');
    await page.click('#load');
    await page.locator('#model-facts').getByText(/^GPU \(.+\)$/).waitFor({ timeout: 120_000 });
    assert.match(await page.textContent('#model-facts'), /GPU checkright answers, largest difference \d\.\de[-+]\d/);
    await page.fill('#note', 'Aa ab ac. Zz zy zx. Aa ab ac.');
    await page.getByRole('tab', { name: 'Similarity' }).click();
    await page.click('#embed');
    await page.getByText(/^3 sentences embedded in/).waitFor({ timeout: 120_000 });
    assert.match(await page.locator('#pairs li').first().textContent(), /^1\.0001\. Aa ab ac\.3\. Aa ab ac\.$/);
    assert.equal(await page.textContent('#requests'), '0');
    assert.deepEqual(await opened.violations(), []);
  } finally {
    await browser.close();
  }
});

test('a folder of the user is a model, and another folder is refused in words', async () => {
  const { page } = visit;
  await page.getByText('tiny is ready').waitFor();
  await visit.settings();
  await page.setInputFiles('#folder', tiny);
  await page.getByText('your folder is ready').waitFor();
  await page.setInputFiles('#folder', join(import.meta.dirname, 'package'));
  await page.getByText(/no manifest\.json among the \d+ files/).waitFor();
  await visit.tab('Masks');
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
  await visit.noTroubles();
});

test('loading, embedding and reading can be cancelled, and go on when they are asked for again', async () => {
  const { page, server } = visit;
  const cancel = async (place, running) => {
    const action = page.locator(place);
    await action.getByText(running).waitFor();
    assert.ok(await action.locator('progress').isVisible());
    await action.getByRole('button', { name: 'Cancel' }).click();
    await action.getByText('Cancelled.').waitFor();
  };
  await visit.choose('tiny');
  server.before = late(3000);
  await page.selectOption('#model', 'mini');
  await page.click('#load');
  await cancel('#model-action', /^Loading mini…$/);
  server.before = atOnce;
  await visit.choose('mini');
  await visit.note('Aa ab ac ad ae af ag. '.repeat(400));
  for (const [tab, button, place] of [['Similarity', '#embed', '#similarity-action'], ['Surprise', '#surprise', '#surprise-action']]) {
    await visit.tab(tab);
    await page.click(button);
    await cancel(place, /^\d+ of 400 sentences$/);
  }
  await page.fill('#note', 'Aa ab. Ac ad.');
  await page.click('#surprise');
  await page.getByText(/^6 words in/).waitFor();
  await visit.tab('Similarity');
  await page.click('#embed');
  await page.getByText(/^2 sentences embedded/).waitFor();
  // A request that is cancelled fails, if it was on its way.
  const others = visit.opened.troubles.filter((trouble) => !/^failed: .*\/models\/mini\//.test(trouble));
  assert.deepEqual(others, []);
  assert.deepEqual(await visit.opened.violations(), []);
});

test('ten quick clicks are one', async () => {
  const { page, server } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Aa ab ac. Zz zy zx.');
  const tenClicks = (button) =>
    page.locator(button).evaluate((element) => {
      for (let click = 0; click < 10; click += 1) element.click();
    });
  for (const [tab, button, done] of [['Similarity', '#embed', /^2 sentences embedded/], ['Masks', '#fill', /^Filled in/], ['Surprise', '#surprise', /^8 words in/]]) {
    await visit.tab(tab);
    await tenClicks(button);
    await page.getByText(done).waitFor();
  }
  assert.equal(await page.locator('#heat p').count(), 2);
  assert.equal(await page.locator('#fill-result table').count(), 3);
  const asked = server.requests.length;
  await page.selectOption('#model', 'mini');
  await tenClicks('#load');
  await page.getByText('mini is ready').waitFor();
  const manifests = server.requests.slice(asked).filter((request) => request.endsWith('manifest.json'));
  assert.equal(manifests.length, 1);
  for (const name of ['sections', 'fill', 'similarity']) await tenClicks(`#tab-${name}`);
  await page.getByText(/^2 sentences embedded/).waitFor();
  await visit.noTroubles();
});
