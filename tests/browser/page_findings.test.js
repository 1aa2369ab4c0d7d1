/** What the model finds in a note, tab by tab: results, and what pointer and keys tell of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visits } from './page_visit.js';

const visit = visits();

test('headers and bullets by themselves are not compared', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Allergies:\nAa ab.\n\nPlan:\nZz zy.\n#. ');
  await page.getByText(/^2 sections, 5 sentences/).waitFor();
  await visit.tab('Similarity');
  await page.click('#embed');
  await page.getByText(/^2 sentences embedded in/).waitFor();
  assert.match(await page.textContent('#pairs'), /2\. Aa ab\.Allergies:4\. Zz zy\.Plan:$/);
  await visit.noTroubles();
});

test('sentences are embedded, mapped and paired', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Aa ab ac. Zz zy zx. Aa ab ac. Ba bb bc.');
  await visit.tab('Similarity');
  await page.click('#embed');
  await page.getByText(/^4 sentences embedded in/).waitFor();
  assert.equal(await page.locator('#map').getAttribute('width'), '4');
  const [first] = await page.locator('#pairs li').allTextContents();
  assert.match(first, /^1\.0001\. Aa ab ac\.3\. Aa ab ac\.$/, 'equal sentences are nearest');
  assert.match(await page.textContent('#map-pair'), /^1\.0001\. Aa ab ac\.3\. Aa ab ac\.$/, 'and the first that is told of');
  await page.locator('#map').focus();
  await page.keyboard.press('ArrowDown');
  assert.match(await page.textContent('#map-pair'), /^[\d.-]+2\. Zz zy zx\.3\. Aa ab ac\.$/);
  await page.locator('#pairs button').first().click();
  assert.equal(await visit.selected(), 'Aa ab ac.');
  await visit.noTroubles();
});

test('a cell of the map tells of its pair when it is pointed at or tapped, and is marked', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Aa ab ac. Zz zy zx. Da db dc. Ba bb bc.');
  await visit.tab('Similarity');
  await page.click('#embed');
  await page.getByText(/^4 sentences embedded in/).waitFor();
  await page.locator('#map').scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator('#map').boundingBox();
  const centre = (row, column) => [x + ((column + 0.5) / 4) * width, y + ((row + 0.5) / 4) * height];
  const told = async (row, column) => {
    const sentence = ['Aa ab ac.', 'Zz zy zx.', 'Da db dc.', 'Ba bb bc.'];
    assert.match(await page.textContent('#map-pair'), new RegExp(`^-?\\d\\.\\d{3}${row + 1}\\. ${sentence[row]}${column + 1}\\. ${sentence[column]}$`));
    const mark = await page.locator('#map-mark').boundingBox();
    const [middleX, middleY] = centre(row, column);
    assert.ok(Math.abs(mark.x + mark.width / 2 - middleX) < 2 && Math.abs(mark.y + mark.height / 2 - middleY) < 2, `${row}, ${column}`);
  };
  await page.mouse.move(...centre(3, 0));
  await told(3, 0);
  // As a finger does it: no pointer has moved there before.
  await page.locator('#map').dispatchEvent('pointerdown', { clientX: centre(1, 2)[0], clientY: centre(1, 2)[1] });
  await told(1, 2);
  await visit.noTroubles();
});

test('pieces are those of the model', async () => {
  const { page } = visit;
  await page.check('#show-pieces');
  await page.fill('#note', 'aa 🫀 ab abc');
  await page.getByText('In use: that of the model.').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.piece').length === 4);
  const pieces = await page.locator('.piece').evaluateAll((pieces) => pieces.map((piece) => [piece.textContent, piece.title]));
  assert.deepEqual(pieces, [['aa', 'aa  5'], ['🫀', '[UNK]  1'], ['ab', 'ab  6'], ['abc', '[UNK]  1']]);
  await visit.noTroubles();
});

test('masks are filled, together and each for itself, with bars as long as they are likely', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await visit.tab('Masks');
  await page.fill('#masked', 'aa [MASK] [MASK].');
  await page.click('#fill');
  await page.getByText(/^Filled in/).waitFor();
  const captions = await page.locator('#fill-result caption').allTextContents();
  assert.deepEqual(captions, ['All masks together, each given those before it', 'Mask 1 for itself', 'Mask 2 for itself']);
  assert.equal(await page.locator('#fill-result tbody tr').count(), 15);
  for (const table of await page.locator('#fill-result table').all()) {
    const bars = await table.locator('meter').evaluateAll((meters) => meters.map(({ value, max }) => value / max));
    assert.equal(bars[0], 1, 'the likeliest fills its bar');
    assert.deepEqual(bars, [...bars].sort((a, b) => b - a));
    assert.match(await table.locator('meter').first().getAttribute('aria-valuetext'), / %$/);
  }
  await page.selectOption('#top-k', '10');
  await page.fill('#masked', 'aa [MASK].');
  await page.click('#fill');
  await page.waitForFunction(() => document.querySelectorAll('#fill-result tbody tr').length === 10);
  await page.fill('#masked', 'no mask');
  await page.click('#fill');
  await page.getByText('Mask token ([MASK]) not found in text.').waitFor();
  await visit.noTroubles();
});

test('a word is masked where the cursor stands or what is selected, in the note and in the text itself', async () => {
  const { page } = visit;
  await visit.tab('Masks');
  await page.fill('#note', 'Aa ab. Ca 🫀 Größe  bc.');
  const masked = async (field, start, end, expected) => {
    await page.focus(field);
    await page.locator(field).evaluate((area, range) => area.setSelectionRange(...range), [start, end]);
    await page.click('#mask-word');
    await page.waitForFunction((text) => document.getElementById('masked').value === text, expected);
  };
  await masked('#note', 13, 18, 'Ca 🫀 [MASK] bc.');
  await masked('#note', 15, 15, 'Ca 🫀 [MASK] bc.');
  await masked('#masked', 1, 1, '[MASK] 🫀 [MASK] bc.');
  await masked('#masked', 17, 19, '[MASK] 🫀 [MASK] [MASK].');
  for (const [field, start, end] of [['#masked', 3, 3], ['#note', 3, 16], ['#note', 6, 7]]) {
    await page.focus(field);
    await page.locator(field).evaluate((area, range) => area.setSelectionRange(...range), [start, end]);
    await page.click('#mask-word');
    await page.getByText('Put the cursor into a word first').waitFor();
    assert.equal(await page.inputValue('#masked'), '[MASK] 🫀 [MASK] [MASK].');
  }
  await visit.noTroubles();
});

test('every word gets its surprise, the least expected are listed', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'aa ab 🫀 ac. zz zy.');
  await visit.tab('Surprise');
  await page.click('#surprise');
  await page.getByText(/^8 words in .* nats a word\.$/).waitFor();
  assert.deepEqual(await page.locator('#heat span').allTextContents(), ['aa', 'ab', '🫀', 'ac', '.', 'zz', 'zy', '.']);
  assert.equal(await page.locator('#surprising-words li').count(), 8);
  const nats = (await page.locator('#surprising-words li').allTextContents()).map((text) => Number(/([\d.]+) nats, probability/.exec(text)[1]));
  assert.deepEqual(nats, [...nats].sort((a, b) => b - a));
  await visit.noTroubles();
});

test('the numbers of a word are told when it is pointed at, tapped, or gone to, and its place can be filled', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Aa ab ac. Zz zy.');
  await visit.tab('Surprise');
  await page.click('#surprise');
  await page.getByText(/^7 words in/).waitFor();
  const told = page.locator('#heat-word');
  const numbers = (word) => new RegExp(`^${word} [\\d.]+ nats, probability [\\d.]+ %`);
  await page.locator('#heat span').nth(4).hover();
  assert.match(await told.textContent(), numbers('Zz'));
  await page.locator('#heat span').nth(1).dispatchEvent('pointerdown');
  assert.match(await told.textContent(), numbers('ab'));
  await page.focus('#heat');
  for (const [key, word] of [['Home', 'Aa'], ['ArrowRight', 'ab'], ['ArrowRight', 'ac'], ['End', '\\.'], ['ArrowRight', '\\.'], ['ArrowLeft', 'zy']]) {
    await page.keyboard.press(key);
    assert.match(await told.textContent(), numbers(word), key);
    assert.equal(await page.locator('#heat .pointed-at').count(), 1);
  }
  const chance = /probability (.*) %/.exec(await told.textContent())[1];
  await page.keyboard.press('Enter');
  await page.getByText(/^Filled in/).waitFor();
  assert.equal(await page.getAttribute('#tab-fill', 'aria-selected'), 'true');
  assert.equal(await page.inputValue('#masked'), 'Zz [MASK].');
  await page.selectOption('#top-k', '20');
  await page.click('#fill');
  await page.locator('#fill-result tbody tr').nth(19).waitFor();
  const rows = await page.locator('#fill-result tbody tr').allTextContents();
  // The word itself may not be among the likeliest; if it is, it is as likely as it was said to be.
  for (const row of rows.filter((row) => row.startsWith('zy'))) assert.ok(row.includes(`${chance} %`), row);
  await visit.noTroubles();
});

test('what was found is put away when the note changes', async () => {
  const { page } = visit;
  await visit.choose('tiny');
  await page.fill('#note', 'Aa ab ac. Zz zy.');
  for (const [tab, button, done, told, result] of [
    ['Similarity', '#embed', /embedded in/, 'The note has changed: embed it again.', '#similarity-result'],
    ['Surprise', '#surprise', /words in/, 'The note has changed: read it again.', '#surprise-result'],
  ]) {
    await visit.tab(tab);
    await page.click(button);
    await page.getByText(done).waitFor();
    await page.locator('#note').press('End');
    await page.keyboard.type('x');
    await page.getByText(told).waitFor();
    assert.equal(await page.isVisible(result), false);
    await page.click(button);
    await page.getByText(done).waitFor();
    assert.equal(await page.isVisible(result), true);
  }
  await visit.noTroubles();
});

test('a sample can be taken again after the note was changed', async () => {
  const { page } = visit;
  await page.selectOption('#sample', 'nursing');
  const nursing = await page.inputValue('#note');
  await page.fill('#note', 'aa.');
  assert.equal(await page.inputValue('#sample'), '');
  await page.selectOption('#sample', 'nursing');
  assert.equal(await page.inputValue('#note'), nursing);
});
