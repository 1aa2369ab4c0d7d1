import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokenizer } from 'clinicalbert';

const vocabulary = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nLung\n##s\nclear\nlung\n.\n';

test('pieces have ids, entries and offsets in UTF-16 code units', async () => {
  const tokenizer = await Tokenizer.load(vocabulary);
  const text = '🫁 Lungs clear.';
  const pieces = tokenizer.encode(text);
  assert.deepEqual(pieces.map(({ id, token, start, end }) => [id, token, text.slice(start, end)]), [
    [1, '[UNK]', '🫁'],
    [5, 'Lung', 'Lung'],
    [6, '##s', 's'],
    [7, 'clear', 'clear'],
    [9, '.', '.'],
  ]);
  assert.equal(tokenizer.vocabSize, 10);
  tokenizer.dispose();
});

test('lower-casing is asked for, not guessed', async () => {
  const cased = await Tokenizer.load(vocabulary);
  const uncased = await Tokenizer.load(vocabulary, { lowercase: true });
  assert.equal(cased.encode('Lung')[0].token, 'Lung');
  assert.equal(uncased.encode('Lung')[0].token, 'lung');
  cased.dispose();
  uncased.dispose();
});

test('special tokens written in a note are text', async () => {
  const tokenizer = await Tokenizer.load(vocabulary);
  assert.ok(!tokenizer.encode('[MASK]').some(({ id }) => id === 4));
  tokenizer.dispose();
});

test('vocabularies that cannot be used are refused with a code', async () => {
  for (const source of ['', 'just\nwords\n', '{"model": 1}', '{']) {
    await assert.rejects(Tokenizer.load(source), (error) => error instanceof Error && error.code === 'tokenizer', source);
  }
  await assert.rejects(Tokenizer.load(undefined), { code: 'invalid-argument' });
});

test('after dispose a tokenizer says so', async () => {
  const tokenizer = await Tokenizer.load(vocabulary);
  tokenizer.dispose();
  tokenizer.dispose();
  assert.throws(() => tokenizer.encode('Lung'), { code: 'disposed' });
  assert.throws(() => tokenizer.vocabSize, { code: 'disposed' });
});
