/** The built page in a real browser, without a model: sections and sentences, pieces, what is asked of the network. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, open } from './browser.js';
import { servePage } from './page_server.js';

const sample = new URL('../../www/src/samples/discharge.txt', import.meta.url);

let browser, server, page, opened;

before(async () => {
  [browser, server] = await Promise.all([launch(), servePage({})]);
});
after(async () => {
  await browser?.close();
  await server?.close();
});
beforeEach(async () => {
  opened = await open(browser, server.address);
  page = opened.page;
});
afterEach(async () => {
  await page.close();
});

/** What the page shows, as data: `[{title, sentences}]`. */
const shown = () =>
  page.locator('.cut').evaluateAll((sections) =>
    sections.map((section) => ({
      title: (section.querySelector('h3 .text') ?? section.querySelector('h3')).textContent,
      sentences: [...section.querySelectorAll('.text')].map((text) => text.textContent.replace(/\s+/g, ' ')),
    })),
  );

test('the sample note is shown cut, with no error and no policy violation', async () => {
  const sections = await shown();
  const titles = sections.map((section) => section.title);
  for (const title of ['Allergies:', 'History of Present Illness:', 'Brief Hospital Course:']) assert.ok(titles.includes(title), title);
  const sentences = sections.flatMap((section) => section.sentences);
  assert.ok(sentences.some((sentence) => sentence.endsWith('He denies fever, chills, or cough.')));
  assert.match(await page.locator('#summary').textContent(), /^\d+ sections, \d+ sentences, \d+ placeholders, cut in [\d.]+ ms$/);
  assert.equal(await page.locator('mark.placeholder').first().textContent(), '[**2151-7-16**]');
  assert.deepEqual(opened.troubles, []);
  assert.deepEqual(await opened.violations(), []);
});

test('page and command line cut the sample note alike', async (context) => {
  const native = process.env.NATIVE ?? '';
  if (!existsSync(native)) return context.skip('needs the native binary: cargo build');
  const { stdout } = await promisify(execFile)(native, ['split', '--format', 'jsonl', sample.pathname]);
  const note = JSON.parse(stdout);
  const sections = await shown();
  assert.deepEqual(
    sections.map((section) => section.title),
    note.sections.map((section) => section.title ?? 'no header'),
  );
  assert.deepEqual(
    sections.flatMap((section) => section.sentences),
    note.sentences.map((sentence) => sentence.text.replace(/\s+/g, ' ')),
  );
});

test('once ready, the page makes no request, whatever is done on it', async () => {
  const before = server.requests.length;
  await page.fill('#note', 'Assessment: stable. Plan: none.');
  for (const splitter of ['fixed', 'faithful', 'none', 'clinical']) await page.selectOption('#splitter', splitter);
  await page.check('#show-pieces');
  await page.getByText('Pieces need a model, or a vocabulary of your own.').waitFor();
  await page.selectOption('#sample', 'radiology');
  await page.click('#clear');
  await page.waitForTimeout(300);
  assert.deepEqual(server.requests.slice(before), []);
  assert.equal(await page.textContent('#requests'), '0');
  assert.deepEqual(opened.troubles, []);
  assert.deepEqual(await opened.violations(), []);
});

test('the policy of the ready page forbids requests even to its own server', async () => {
  const before = server.requests.length;
  const outcome = await page.evaluate(() => fetch('./index.html').then(() => 'answered', () => 'forbidden'));
  assert.equal(outcome, 'forbidden');
  assert.deepEqual(server.requests.slice(before), []);
  assert.match((await opened.violations()).join(), /connect-src/);
});

test('the number of requests on the page is a real count', async () => {
  await page.evaluate(() => {
    const style = document.querySelector('link[rel=stylesheet]').cloneNode();
    style.href += '?again';
    document.head.append(style);
  });
  await page.waitForFunction(() => document.getElementById('requests').textContent === '1');
});

test("a sentence's number selects the sentence in the note, also after emoji, by keyboard", async () => {
  await page.fill('#note', 'Exam: 🫀 regular 👨‍👩‍👧. Lungs are clear. No edema.');
  const number = page.getByRole('button', { name: 'Show sentence 2 in the note' });
  await number.focus();
  await page.keyboard.press('Enter');
  const selection = () => page.locator('#note').evaluate((note) => note.value.slice(note.selectionStart, note.selectionEnd));
  assert.equal(await selection(), 'Lungs are clear.');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'note');

  await page.locator('#note').fill(await readFile(sample, 'utf8'));
  await page.locator('.number').last().click();
  assert.match(await selection(), /^Please see your cardiologist/);
  assert.ok((await page.locator('#note').evaluate((note) => note.scrollTop)) > 0, 'the note scrolls to the sentence');
});

test('pieces are shown with a vocabulary of the user, and a bad one is refused in words', async () => {
  await page.fill('#note', 'Lungs clear 🫁');
  await page.check('#show-pieces');
  const upload = (text) => page.setInputFiles('#vocabulary-file', { name: 'vocab.txt', mimeType: 'text/plain', buffer: Buffer.from(text) });
  await upload('[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nLung\n##s\nclear\n');
  await page.getByText('In use: vocab.txt, 8 entries.').waitFor();
  const pieces = await page.locator('.piece').evaluateAll((pieces) => pieces.map((piece) => [piece.textContent, piece.title]));
  assert.deepEqual(pieces, [['Lung', 'Lung  5'], ['s', '##s  6'], ['clear', 'clear  7'], ['🫁', '[UNK]  1']]);
  await upload('just\nwords\n');
  await page.locator('#problem').waitFor();
  assert.match(await page.textContent('#problem'), /^tokenizer: /);
  assert.equal(await page.locator('.piece').count(), 4, 'the last good vocabulary stays in use');
  assert.deepEqual(opened.troubles, []);
});

test('an empty note and one of 200 kB leave the page usable', async () => {
  await page.fill('#note', '');
  await page.getByText('Nothing to cut yet').waitFor();
  const note = await readFile(sample, 'utf8');
  await page.locator('#note').evaluate((area, text) => {
    area.value = text;
    area.dispatchEvent(new Event('input'));
  }, note.repeat(Math.ceil(200_000 / note.length)));
  await page.getByText(/^[\d,]{5,} sections/).waitFor();
  await page.selectOption('#sample', 'nursing');
  await page.getByText(/^\d sections/).waitFor();
  assert.deepEqual(opened.troubles, []);
});
