/** The page for everybody: axe-core's rules in light and dark, wide and narrow, on every tab with its results; and the keyboard alone. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';

let browser, server;

before(async () => {
  [browser, server] = await Promise.all([launch(), servePage({ tiny: join(process.env.ENGINE_MODELS ?? '', 'tiny/f32') })]);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** What axe-core objects to. It is run as an extension of the browser would run it: the page's policy does not let scripts be injected. */
async function violations(page) {
  const axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Runtime.evaluate', { expression: axe });
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [{ width: 1280, height: 900 }, { width: 390, height: 844 }]) {
    test(`no barriers in ${colorScheme}, ${viewport.width} wide`, async () => {
      const { page } = await open(browser, server.address, { colorScheme, viewport });
      const isClean = async (what) => {
        assert.deepEqual(await violations(page), [], what);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${what}: the page is ${wide} pixels wider than the window`);
      };
      const tab = (name) => page.getByRole('tab', { name }).click();
      await page.getByText('tiny is ready').waitFor();
      await isClean('sections');
      await page.click('#model-settings summary');
      await page.check('#show-pieces');
      await page.locator('.piece').first().waitFor();
      await isClean('pieces, and settings of the model');
      await tab('Similarity');
      await page.click('#embed');
      await page.getByText(/embedded in/).waitFor({ timeout: 60_000 });
      await page.focus('#map');
      await isClean('similarity');
      await tab('Masks');
      await isClean('masks, before anything is filled');
      await page.click('#fill');
      await page.getByText(/Filled in/).waitFor({ timeout: 60_000 });
      await isClean('masks');
      await tab('Surprise');
      await page.click('#surprise');
      await page.getByText(/words in/).waitFor({ timeout: 60_000 });
      await page.focus('#heat');
      await isClean('surprise');
      // Everything that can go wrong at once, each beside what it is about.
      await page.setInputFiles('#note-file', { name: 'scan.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(9) });
      await page.getByText('This is no text file').waitFor();
      await page.setInputFiles('#folder', join(import.meta.dirname, 'package'));
      await page.getByText(/no manifest\.json among/).waitFor();
      await tab('Masks');
      await page.fill('#masked', 'no mask');
      await page.click('#fill');
      await page.getByText('Mask token ([MASK]) not found in text.').waitFor();
      await isClean('errors');
      await page.click('#clear');
      await tab('Surprise');
      await page.click('#surprise');
      await page.getByText('The note has no sentence.').waitFor();
      await isClean('an empty note');
      await page.close();
    });
  }
}

test('whatever is under way is told to screen readers, and can be cancelled from the keyboard', async () => {
  const { page } = await open(browser, server.address);
  await page.getByText('tiny is ready').waitFor();
  await page.getByRole('tab', { name: 'Surprise' }).click();
  await page.fill('#note', 'Aa ab ac ad ae af ag. '.repeat(2000));
  await page.locator('#surprise').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('progressbar', { name: 'Reading the note' }).waitFor();
  await page.getByRole('status').getByText(/^\d+ of 2000 sentences$/).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
  await page.keyboard.press('Enter');
  await page.getByRole('status').getByText('Cancelled.').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'surprise');
  await page.fill('#note', '');
  await page.click('#surprise');
  await page.getByRole('alert').getByText('The note has no sentence.').waitFor();
  await page.close();
});

test('Tab goes through all that can be used, in the order in which it stands, and shows where it is', async () => {
  const { page } = await open(browser, server.address);
  await page.getByText('tiny is ready').waitFor();
  await page.fill('#note', 'Plan: home. Doing well.');
  await page.getByText(/^1 section, \d sentences/).waitFor();
  await page.click('#model-settings summary');
  // From the top: where there is nothing.
  await page.mouse.click(2, 2);
  const stops = [];
  for (;;) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      if (at === document.body) return null;
      const shown = at.classList.contains('unseen') ? at.parentElement : at;
      const { outlineStyle, outlineWidth } = getComputedStyle(shown);
      return { name: at.id || at.textContent, outline: `${outlineStyle} ${outlineWidth}`, index: at.tabIndex };
    });
    if (stop === null || stops.length > 40) break;
    assert.match(stop.outline, /^solid 2px$/, stop.name);
    assert.equal(stop.index, 0, `${stop.name} stands where it stands`);
    stops.push(stop.name);
  }
  const wanted = [
    ...['sample', 'note-file', 'clear', 'note', 'splitter', 'Another model, precision or device', 'model', 'precision', 'device', 'load', 'folder', 'forget'],
    ...['tab-sections', 'show-pieces', 'save-sections'],
  ];
  assert.deepEqual(stops.filter((name) => wanted.includes(name)), wanted);
  assert.deepEqual(stops.filter((name) => !wanted.includes(name)).every((name) => /^\d+$/.test(name)), true, stops.join());
  await page.close();
});

test('nothing moves by itself', async () => {
  const { page } = await open(browser, server.address, { reducedMotion: 'reduce' });
  await page.getByText('tiny is ready').waitFor();
  await page.getByRole('tab', { name: 'Similarity' }).click();
  await page.click('#embed');
  await page.getByText(/embedded in/).waitFor();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  const moving = await page.evaluate(() =>
    [...document.querySelectorAll('*')].filter((one) => {
      const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(one);
      return animationName !== 'none' || transitionDuration !== '0s' || scrollBehavior === 'smooth';
    }).length,
  );
  assert.equal(moving, 0);
  await page.close();
});

test('everything can be done with the keyboard', async () => {
  const { page } = await open(browser, server.address);
  await page.getByText('tiny is ready').waitFor();
  await page.locator('#model-settings summary').focus();
  await page.keyboard.press('Enter');
  await page.locator('#load').focus();
  await page.keyboard.press('Enter');
  await page.getByText('tiny is ready').waitFor();
  await page.getByRole('tab', { name: 'Sections' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-fill');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'masked');
  for (let presses = 0; presses < 2; presses += 1) await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'fill');
  await page.keyboard.press('Enter');
  await page.getByText(/^Filled in/).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'fill', 'focus stays where it was');
  await page.getByRole('tab', { name: 'Masks' }).focus();
  await page.keyboard.press('Home');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-sections');
  await page.close();
});
