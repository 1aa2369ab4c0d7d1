/** A visit to the page for every test of a file, and what is done on it again and again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';

export const MODELS = process.env.ENGINE_MODELS ?? '';

/** Each test gets a browser context of its own and a server with the models `tiny` (in two precisions) and `mini`. */
export function visits() {
  const visit = {
    /** Opens the page, of another server if one is given. */
    async open(address = visit.server.address) {
      visit.opened = await open(visit.context, address);
      visit.page = visit.opened.page;
    },
    /** Loads a model in wasm, whatever the machine has. */
    async choose(name) {
      // Unless another is being loaded.
      await visit.page.locator('#load:enabled').waitFor({ state: 'attached' });
      await visit.settings();
      await visit.page.selectOption('#model', name);
      await visit.page.selectOption('#device', 'wasm');
      await visit.page.click('#load');
      await visit.page.getByText(`${name} is ready`).waitFor();
    },
    async settings() {
      if ((await visit.page.getAttribute('#model-settings', 'open')) === null) await visit.page.click('#model-settings summary');
    },
    tab: (name) => visit.page.getByRole('tab', { name }).click(),
    /** Puts a text into the note at once; typing a long one would take the test's time. */
    note: (text) =>
      visit.page.locator('#note').evaluate((area, value) => {
        area.value = value;
        area.dispatchEvent(new Event('input'));
      }, text),
    selected: () => visit.page.locator('#note').evaluate((note) => note.value.slice(note.selectionStart, note.selectionEnd)),
    async noTroubles() {
      assert.deepEqual(visit.opened.troubles, []);
      assert.deepEqual(await visit.opened.violations(), []);
    },
  };
  before(async () => {
    visit.browser = await launch();
  });
  after(() => visit.browser?.close());
  beforeEach(async () => {
    visit.server = await servePage({ tiny: [join(MODELS, 'tiny/f32'), join(MODELS, 'tiny/int8')], mini: join(MODELS, 'mini/f32') });
    visit.context = await visit.browser.newContext({ viewport: { width: 1280, height: 900 } });
    await visit.open();
  });
  afterEach(async () => {
    await visit.context.close();
    await visit.server.close();
  });
  return visit;
}
