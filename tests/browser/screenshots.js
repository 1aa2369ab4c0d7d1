/** The README's pictures of the page with its own model: a desktop and a phone, light and dark, each on another tab. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';

const folder = fileURLToPath(new URL('../../www/screenshots/', import.meta.url));
/** Bytes of a picture: whoever clones the repository fetches it. */
const MOST = 150_000;

const DESKTOP = { viewport: { width: 1024, height: 640 } };
const PHONE = { viewport: { width: 390, height: 780 } };
const PICTURES = [
  { name: 'desktop-light', ...DESKTOP, colorScheme: 'light', tab: 'Surprise', button: '#surprise', done: /words in/ },
  { name: 'desktop-dark', ...DESKTOP, colorScheme: 'dark', tab: 'Similarity', button: '#embed', done: /embedded in/ },
  { name: 'phone-light', ...PHONE, colorScheme: 'light', tab: 'Sections' },
  { name: 'phone-dark', ...PHONE, colorScheme: 'dark', tab: 'Masks', button: '#fill', done: /Filled in/ },
];

await mkdir(folder, { recursive: true });
const [browser, server] = await Promise.all([launch(), servePage()]);
const models = await (await fetch(`${server.address}models/models.json`)).json();
if (models.length === 0) throw new Error('the page has no model of its own: www/public/models must have one when the page is built');
for (const { name, tab, button, done, ...settings } of PICTURES) {
  const { page } = await open(browser, server.address, settings);
  await page.getByText(/is ready, after/).waitFor({ timeout: 60_000 });
  await page.getByRole('tab', { name: tab }).click();
  if (button !== undefined) {
    await page.click(button);
    await page.getByText(done).waitFor({ timeout: 60_000 });
  }
  // On a phone what was found stands below the note.
  if (settings.viewport === PHONE.viewport) await page.locator('#tabs').evaluate((tabs) => tabs.scrollIntoView());
  await page.evaluate(() => document.activeElement.blur());
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  const { size } = await stat(path);
  console.log(`${path}: ${size} bytes`);
  if (size > MOST) throw new Error(`${path} has ${size} bytes, expected at most ${MOST}`);
  await page.close();
}
await Promise.all([browser.close(), server.close()]);
