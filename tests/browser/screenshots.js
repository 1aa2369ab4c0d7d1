/** Pictures of the page, in light and dark, wide and narrow, for people to look at. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, open } from './browser.js';
import { serve } from './serve.js';

const folder = process.env.SCREENSHOTS;
await mkdir(folder, { recursive: true });
const [browser, server] = await Promise.all([launch(), serve()]);
for (const colorScheme of ['light', 'dark']) {
  for (const [name, viewport] of [['wide', { width: 1280, height: 900 }], ['narrow', { width: 390, height: 844 }]]) {
    const { page } = await open(browser, server.address, { colorScheme, viewport, deviceScaleFactor: 2 });
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: name === 'narrow' });
    if (name === 'wide') {
      await page.check('#show-pieces');
      await page.locator('.piece').first().waitFor();
      await page.screenshot({ path: join(folder, `pieces-${colorScheme}.png`) });
    }
    await page.close();
  }
}
await Promise.all([browser.close(), server.close()]);
console.log(`pictures in ${folder}`);
