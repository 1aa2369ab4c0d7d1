/** Notes of every kind in every tab: empty, long, of other scripts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visits } from './page_visit.js';

const visit = visits();

test('notes that are empty, long, or of other scripts leave the page usable', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await visit.tab('Similarity');
  await page.fill('#note', '');
  await page.click('#embed');
  await page.getByText('The note needs at least two sentences.').waitFor();
  for (const note of ['咳嗽三天。\n\n发热。', 'المريض مستقر. لا حمى.', '🫀 ok. 👨‍👩‍👧 Here. Naïve.']) {
    await page.fill('#note', note);
    await page.click('#embed');
    await page.getByText(/^2 sentences embedded/).waitFor();
    await page.locator('#note').fill('');
    await page.click('#embed');
    await page.getByText('The note needs at least two sentences.').waitFor();
  }
  await visit.note('Aa ab ac ad. Zz zy. '.repeat(10_000));
  await page.click('#embed');
  await page.getByText(/^400 sentences embedded in .* the last 19600 of the note are left out/).waitFor({ timeout: 60_000 });
  await visit.noTroubles();
});

test('an empty note is answered in words on every tab', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', ' \n ');
  await page.getByText('Nothing to cut yet').waitFor();
  for (const [name, button, told] of [
    ['Similarity', '#embed', 'The note needs at least two sentences.'],
    ['Surprise', '#surprise', 'The note has no sentence.'],
    ['Masks', '#mask-word', 'Put the cursor into a word first'],
  ]) {
    await visit.tab(name);
    await page.click(button);
    await page.getByRole('tabpanel').getByText(told).waitFor();
  }
  await visit.noTroubles();
});

test('words of every script get their surprise where they stand', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await visit.tab('Surprise');
  for (const [note, words] of [
    ['咳嗽三天。', ['咳', '嗽', '三', '天', '。']],
    ['المريض مستقر.', ['المريض', 'مستقر', '.']],
    ['👨‍👩‍👧 aa 🫀 ab.', ['aa', 'ab', '.']],
  ]) {
    await page.fill('#note', note);
    await page.click('#surprise');
    await page.getByText(/words in/).waitFor();
    const found = await page.locator('#heat span').allTextContents();
    for (const word of words) assert.ok(found.includes(word), `${word} of ${found.join('|')}`);
    assert.equal((await page.textContent('#heat')).replace(/\s+/g, ' ').trim(), note);
    for (const word of await page.locator('#surprising-words button').all()) {
      await word.click();
      assert.equal(await visit.selected(), await word.textContent());
    }
    await page.fill('#note', '');
  }
  await visit.noTroubles();
});

test('a sentence of 200 kB can be cancelled, and its words lie where they are said to lie', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await visit.tab('Surprise');
  await visit.note('aa zz '.repeat(34_000));
  await page.click('#surprise');
  await page.locator('#heat span').nth(300).waitFor({ state: 'attached' });
  assert.ok((await page.locator('#surprise-action progress').getAttribute('value')) > 0, 'it shows how far it is, also within a sentence');
  await page.locator('#surprise-action').getByRole('button', { name: 'Cancel' }).click();
  await page.locator('#surprise-action').getByText('Cancelled.').waitFor();
  await page.fill('#note', `${'aa ab '.repeat(200)}zz`);
  await page.click('#surprise');
  await page.getByText(/^401 words in/).waitFor();
  assert.deepEqual(new Set(await page.locator('#heat span').allTextContents()), new Set(['aa', 'ab', 'zz']));
  for (const word of await page.locator('#surprising-words button').all()) {
    await word.click();
    assert.equal(await visit.selected(), await word.textContent());
  }
  await visit.noTroubles();
});
