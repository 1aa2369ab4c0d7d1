/** The page for everybody: axe-core's rules in light and dark, wide and narrow, on every tab; and the keyboard alone. */
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
      await page.selectOption('#device', 'wasm');
      await page.click('#load');
      await page.getByText('tiny is ready').waitFor();
      assert.deepEqual(await violations(page), []);
      await page.check('#show-pieces');
      await page.locator('.piece').first().waitFor();
      assert.deepEqual(await violations(page), []);
      for (const [name, button, done] of [['Similarity', '#embed', /embedded in/], ['Masked words', '#fill', /Filled in/], ['Surprise', '#surprise', /words in/]]) {
        await page.getByRole('tab', { name }).click();
        await page.click(button);
        await page.getByText(done).waitFor({ timeout: 60_000 });
        assert.deepEqual(await violations(page), [], name);
      }
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `the page is ${wide} pixels wider than the window`);
      await page.close();
    });
  }
}

test('everything can be done with the keyboard', async () => {
  const { page } = await open(browser, server.address);
  await page.selectOption('#device', 'wasm');
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
  await page.getByRole('tab', { name: 'Masked words' }).focus();
  await page.keyboard.press('Home');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-sections');
  await page.close();
});
