/** Files dropped on the page as a hand would drop them: the browser is told of a drag from outside, not the page of an event. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';

const tiny = join(process.env.ENGINE_MODELS ?? '', 'tiny/f32');

let browser, server, folder, opened, page, devtools;

before(async () => {
  [browser, server, folder] = await Promise.all([launch(), servePage({ tiny }), mkdtemp(join(tmpdir(), 'clinicalbert-drop-'))]);
});
after(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});
beforeEach(async () => {
  opened = await open(browser, server.address);
  page = opened.page;
  devtools = await page.context().newCDPSession(page);
  await page.getByText('tiny is ready').waitFor();
});
afterEach(async () => {
  assert.deepEqual(opened.troubles, []);
  assert.equal(await page.textContent('#requests'), '0');
  await page.close();
});

async function fileOf(name, content) {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** What a hand does with files over the middle of an element: `dragEnter`, `dragOver`, `drop`. */
async function drag(selector, files, ...types) {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator(selector).boundingBox();
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of types) await devtools.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data });
}

const drop = (selector, files) => drag(selector, files, 'dragEnter', 'dragOver', 'drop');

/** The browser tells the page of a drag when it gets to it. */
const isLit = (selector, expected) =>
  page.waitForFunction(([selector, expected]) => document.querySelector(selector).classList.contains('dropping') === expected, [selector, expected]);

test('a note is dropped on its field, which shows that it takes it', async () => {
  const path = await fileOf('note.txt', 'Plan: home. Doing well 🫀.');
  await drag('#note', [path], 'dragEnter', 'dragOver');
  await isLit('#note-panel', true);
  await drag('header', [path], 'dragOver');
  await isLit('#note-panel', false);
  assert.match(await page.inputValue('#note'), /^Admission Date/);
  await drop('#note', [path]);
  await page.getByText(/^1 section, \d sentences/).waitFor();
  assert.equal(await page.inputValue('#note'), 'Plan: home. Doing well 🫀.');
  await isLit('#note-panel', false);
});

test('notes of Windows programs are read as they were written', async () => {
  const text = 'Größe: 1,80 m. Naïve.';
  const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le');
  for (const content of [Buffer.from(text, 'latin1'), utf16, Buffer.from(utf16).swap16(), Buffer.from(`\ufeff${text}`)]) {
    await page.fill('#note', '');
    await drop('#note', [await fileOf('note.txt', content)]);
    await page.getByText(/^1 section, \d sentences?/).waitFor();
    assert.equal(await page.inputValue('#note'), text);
  }
});

test('what is no text is refused in words, and the note stays', async () => {
  await page.fill('#note', 'Plan: home.');
  await drop('#note', [await fileOf('scan.pdf', Buffer.from([0x25, 0x50, 0x44, 0x46, 0, 1, 2, 3]))]);
  await page.getByText('This is no text file').waitFor();
  await drop('#note', [await fileOf('huge.txt', Buffer.alloc(10_000_001, 'a'))]);
  await page.getByText('the largest that is read has 10.0 MB').waitFor();
  await drop('#note', [tiny]);
  await page.getByText('This cannot be read as a note').waitFor();
  assert.equal(await page.inputValue('#note'), 'Plan: home.');
  await page.fill('#note', 'Plan: home. Doing well.');
  assert.equal(await page.isVisible('#note-problem'), false);
});

test('a folder that native convert wrote is dropped on the model', async () => {
  await drop('#model-panel', [tiny]);
  await page.getByText('your folder is ready').waitFor();
  await page.getByText('no: the files are your own').waitFor();
});

test('its files by themselves are a model too, others are refused in words', async () => {
  const files = (await readdir(tiny)).map((name) => join(tiny, name));
  await drop('#model-panel', files);
  await page.getByText('your folder is ready').waitFor();
  await drop('#model-panel', [await fileOf('note.txt', 'Plan: home.')]);
  await page.getByText(/no manifest\.json among the 1 file/).waitFor();
  await page.getByRole('tab', { name: 'Masks' }).click();
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
});

test('a file that is dropped beside does not replace the page', async () => {
  await page.fill('#note', 'Plan: home.');
  await drop('footer', [await fileOf('page.html', '<!doctype html><title>Another page</title>')]);
  await drop('header', [await fileOf('note.txt', 'Another note.')]);
  assert.equal(page.url(), server.address);
  assert.equal(await page.inputValue('#note'), 'Plan: home.');
});

test('a note is opened by button, also the same one twice', async () => {
  const path = await fileOf('note.txt', 'Plan: home.');
  for (const _ of [1, 2]) {
    await page.setInputFiles('#note-file', path);
    await page.waitForFunction(() => document.getElementById('note').value === 'Plan: home.');
    await page.click('#clear');
  }
});
