/** Fine-tuned models, through the pipelines: what the reference says of the same texts. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pipeline } from 'clinicalbert';

const folder = (name) => join(process.env.ENGINE_MODELS ?? '', name);
const expectedOf = async (name) => JSON.parse(await readFile(join(folder(name), 'expected.json'), 'utf8'));

let tag, classify;

before(async () => {
  [tag, classify] = await Promise.all([pipeline('token-classification', folder('tokens')), pipeline('text-classification', folder('texts'))]);
});
after(() => Promise.all([tag?.dispose(), classify?.dispose()]));

const near = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-4, `${found} ${expected}`);

test('every token has its class, where it stands in the text', async () => {
  const { labels, answers } = await expectedOf('tokens');
  const found = await tag(answers.map(({ text }) => text), { ignore_labels: [] });
  for (const [row, { text, tokens }] of answers.entries()) {
    assert.deepEqual(found[row].map(({ entity }) => entity), tokens.map((token) => labels[token.class]));
    found[row].forEach(({ score }, at) => near(score, tokens[at].score));
    assert.ok(found[row].every(({ word, start, end }) => word === '[UNK]' || text.slice(start, end) === word));
  }
  assert.equal(found[0][0].index, 1);
  assert.ok(found[2].length > 64, 'more tokens than the model allows at once');
});

test('without options the classes that say nothing are left out', async () => {
  const { answers } = await expectedOf('tokens');
  const all = await tag(answers[0].text, { ignore_labels: [] });
  assert.deepEqual(await tag(answers[0].text), all.filter(({ entity }) => entity !== 'O'));
});

test('tokens are put together', async () => {
  const { answers } = await expectedOf('tokens');
  for (const aggregation_strategy of ['simple', 'first']) {
    for (const { text, grouped } of answers) {
      const found = await tag(text, { aggregation_strategy, ignore_labels: [] });
      assert.deepEqual(found.map((one) => one.entity_group), grouped[aggregation_strategy].map((one) => one.entity_group));
      found.forEach(({ score, word, start, end }, at) => {
        near(score, grouped[aggregation_strategy][at].score);
        assert.equal(word, text.slice(start, end));
      });
    }
  }
});

test('texts and pairs have their classes, likeliest first', async () => {
  const { labels, answers } = await expectedOf('texts');
  const texts = answers.map(({ text }) => text);
  const scoresOf = (found) => labels.map((label) => found.find((one) => one.label === label).score);
  const alone = await classify(texts, { top_k: labels.length });
  const pairs = await classify(texts, { top_k: labels.length, text_pair: answers.map((answer) => answer.with) });
  for (const [row, { scores, pair }] of answers.entries()) {
    scoresOf(alone[row]).forEach((score, at) => near(score, scores[at]));
    scoresOf(pairs[row]).forEach((score, at) => near(score, pair[at]));
    assert.deepEqual(alone[row], alone[row].toSorted((one, other) => other.score - one.score));
  }
  // As transformers.js shapes them.
  assert.deepEqual(await classify(texts[0]), [alone[0][0]]);
  assert.deepEqual(await classify(texts), alone.map(([best]) => best));
});

test('a model that is made for something else is refused, and so are options that are not known', async () => {
  await assert.rejects((await pipeline('text-classification', tag.session))('aa'), { code: 'tensor', message: /BertForSequenceClassification/ });
  await assert.rejects((await pipeline('token-classification', classify.session))('aa'), { code: 'tensor' });
  await assert.rejects(tag('aa', { aggregation_strategy: 'average' }), { code: 'invalid-options' });
  await assert.rejects(classify(['aa', 'ab'], { text_pair: 'ac' }), { code: 'invalid-options', message: /2, found 1/ });
  const { classifies, labels, heads } = await tag.info();
  assert.deepEqual([classifies, labels.length, heads.classifier], ['tokens', 5, true]);
});
