/** The page as `native demo` serves it: with its headers, a model of the user, and the same answers as the command line. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { launch, open } from './browser.js';

const native = process.env.NATIVE ?? '';
const model = join(process.env.ENGINE_MODELS ?? '', 'tiny/f32');
const built = fileURLToPath(new URL('../../www/dist', import.meta.url));

let browser, program, opened, page;

before(async () => {
  browser = await launch();
  program = spawn(native, ['demo', '--page', built, '--model', model, '--port', '0', '--no-open', '--quiet']);
  const [line] = await once(program.stdout, 'data');
  opened = await open(browser, String(line).trim());
  page = opened.page;
  await page.getByText('f32 is ready').waitFor();
});
after(async () => {
  program?.kill();
  await browser?.close();
});

const ask = async (...args) => JSON.parse((await promisify(execFile)(native, [...args, '--model', model, '--json'])).stdout);

test('the page works under the headers of the program, and violates no policy', async () => {
  const response = await page.request.get(page.url());
  const policy = await page.getAttribute('meta[http-equiv=Content-Security-Policy]', 'content');
  assert.match(policy, /^default-src 'none'; /);
  // Where a server sends no header the page's own policy holds; only this one directive cannot stand in a page.
  assert.equal(response.headers()['content-security-policy'], `${policy}; frame-ancestors 'none'`);
  assert.equal(response.headers()['cross-origin-opener-policy'], 'same-origin');
  assert.deepEqual(opened.troubles, []);
  assert.deepEqual(await opened.violations(), []);
  assert.equal(await page.textContent('#requests'), '0');
});

test('masks are filled as by native fill-mask', async () => {
  const text = 'aa [MASK] [MASK].';
  await page.getByRole('tab', { name: 'Masks' }).click();
  await page.fill('#masked', text);
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
  const tables = await page.locator('#fill-result table').evaluateAll((tables) =>
    tables.map((table) => [...table.tBodies[0].rows].map(({ cells }) => ({
      tokens: cells[0].textContent, score: cells[1].querySelector('meter').value, sequence: cells[2].textContent,
    }))),
  );
  const jointly = await ask('fill-mask', '--text', text, '--jointly');
  const apart = await ask('fill-mask', '--text', text);
  assert.equal(tables.length, 3);
  for (const [number, fillings] of [jointly, ...apart].entries()) {
    const found = tables[number];
    const words = fillings.map(({ token_str, token_strs = [token_str], sequence }) => [token_strs.join(' · '), sequence]);
    assert.deepEqual(found.map(({ tokens, sequence }) => [tokens, sequence]), words);
    // Sums of f32 in another order.
    fillings.forEach(({ score }, row) => assert.ok(Math.abs(found[row].score - score) < 1e-6, `${found[row].score} ${score}`));
  }
});

test('sentences are as alike as by native embed', async () => {
  const sentences = ['Aa ab ac.', 'Zz zy zx.'];
  await page.fill('#note', sentences.join(' '));
  await page.getByRole('tab', { name: 'Similarity' }).click();
  await page.click('#embed');
  await page.getByText(/^2 sentences embedded/).waitFor();
  const [a, b] = await Promise.all(sentences.map(async (text) => (await ask('embed', '--text', text, '--normalize')).embedding));
  const cosine = a.reduce((sum, value, axis) => sum + value * b[axis], 0);
  assert.equal(await page.locator('#pairs .score').textContent(), cosine.toFixed(3));
});
