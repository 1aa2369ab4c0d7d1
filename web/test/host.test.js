/** Sessions above an engine whose answers are plain to see: a text's vector is its length and its first character's code. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalHost } from '../dist/session/local.js';
import { Session } from '../dist/session/session.js';
import { localSource, platform } from '../dist/weights/source.js';
import { makeEngine, makeModel } from './support/model.js';

const files = makeModel([1000]);
const calls = [];
const vector = (text) => [text.length, text.codePointAt(0) ?? 0];
const model = {
  info: { device: 'wasm', isCased: true, encoding: 'int8', config: { hidden_size: 2, num_hidden_layers: 1, max_position_embeddings: 8 } },
  memory: () => ({ weights: 1000, wasm: 65536, gpu: 0 }),
  async embed(texts, settings) {
    calls.push({ texts, settings });
    return { data: Float32Array.from(texts.flatMap(vector)), tokens: Uint32Array.from(texts, (text) => text.length), windows: Uint32Array.from(texts, () => 1) };
  },
  // A token a character between [CLS], whose vector is (1, 0), and [SEP], whose vector is (0, 1).
  async tokenVectors(text) {
    const inside = [...text].slice(0, 6);
    return { data: Float32Array.from([1, 0, ...inside.flatMap((one) => [one.codePointAt(0), 7]), 0, 1]), isCut: text.length > 6 };
  },
  tokenize: (text) => [...text].map((token, index) => ({ id: 5, token, start: index, end: index + 1 })),
  async fillMask(text, { topK }) {
    const one = (index) => ({ score: 1 / (index + 2), token: index, token_str: `t${index}`, sequence: text.replace('[MASK]', `t${index}`) });
    return text.match(/\[MASK\]/g).map(() => Array.from({ length: topK }, (_, index) => one(index)));
  },
  async fillMaskJointly(text, { topK }) {
    const masks = text.match(/\[MASK\]/g).length;
    return Array.from({ length: topK }, (_, index) => ({
      score: 1 / (index + 2),
      tokens: Array(masks).fill(index),
      token_strs: Array(masks).fill(`t${index}`),
      sequence: text.replaceAll('[MASK]', `t${index}`),
    }));
  },
  surprise: async (text) => [{ start: 0, end: text.length, nats: text.length }],
  disposed: 0,
  dispose: async () => (model.disposed += 1),
};

async function open() {
  platform.openFolder = () => localSource('memory', async (file) => new Blob([files.get(file)]));
  const host = new LocalHost(async () => makeEngine(model));
  await host.call('load', ['memory', { device: 'auto', isOffline: false }], {});
  calls.length = 0;
  return new Session(host);
}

test('vectors are those of their texts, in their order, however they are grouped', async () => {
  const session = await open();
  const texts = Array.from({ length: 40 }, (_, index) => String.fromCharCode(65 + index).repeat(((index * 7) % 40) + 1));
  const progress = [];
  const output = await session.embed(texts, { pooling: 'mean', progress_callback: ({ done, total }) => progress.push([done, total]) });
  assert.deepEqual([output.type, output.dims], ['float32', [40, 2]]);
  assert.deepEqual(output.tolist(), texts.map(vector));
  assert.deepEqual(output.texts[3], { tokens: texts[3].length, windows: 1, isCut: false });
  assert.deepEqual(progress, [[16, 40], [32, 40], [40, 40]]);
  const lengths = calls.flatMap(({ texts }) => texts.map((text) => text.length));
  assert.deepEqual(lengths, [...lengths].sort((a, b) => a - b), 'texts of like length run together');
});

test('without pooling every token has its vector and, if asked for, its place', async () => {
  const session = await open();
  const output = await session.embed(['ab', 'abcdefgh'], { offsets: true });
  assert.deepEqual(output.dims, [2, 8, 2]);
  assert.deepEqual(output.tolist()[0], [[1, 0], [97, 7], [98, 7], [0, 1], [0, 0], [0, 0], [0, 0], [0, 0]]);
  assert.deepEqual(output.texts[0], { tokens: 2, windows: 1, isCut: false, offsets: [null, [0, 1], [1, 2], null] });
  assert.equal(output.texts[1].isCut, true);
  assert.equal(output.texts[1].offsets.length, 8);
});

test('poolings and options reach the engine under its names', async () => {
  const session = await open();
  await session.embed('a', { pooling: 'cls', layer: -1 });
  await session.embed('a', { pooling: 'last_four', windows: { size: 8, overlap: 2 } });
  assert.deepEqual(calls.map(({ settings }) => settings), [
    { pooling: 'cls', layer: -1 },
    { pooling: 'last-four', window: 8, overlap: 2 },
  ]);
  assert.deepEqual((await session.embed(['ab', 'abcd'], { pooling: 'eos' })).tolist(), [[0, 1], [0, 1]]);
  const unit = await session.embed(['abc'], { pooling: 'mean', normalize: true });
  assert.ok(Math.abs(Math.hypot(...unit.data) - 1) < 1e-6);
});

test('options that do not exist are refused with the list of those that do', async () => {
  const session = await open();
  for (const [options, told] of [
    [{ poling: 'mean' }, /unknown name `poling`, expected one of pooling, normalize/],
    [{ pooling: 'average' }, /^Pooling method 'average' not supported\. Known ones: none, mean/],
    [{ pooling: 'mean', normalize: 1 }, /normalize must be true or false, found 1/],
    [{ pooling: 'mean', offsets: true }, /need pooling: 'none'/],
    [{ windows: { size: 8 } }, /windows cannot be put together with pooling: 'none'/],
    [{ pooling: 'mean', windows: { size: 1 } }, /windows\.size must be a whole number of at least 3, found 1/],
    [{ signal: true }, /signal must be an AbortSignal/],
  ]) {
    await assert.rejects(session.embed('a secret', options), (error) => {
      assert.equal(error.code, 'invalid-options');
      assert.match(error.message, told);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
  await assert.rejects(session.embed([1]), { code: 'invalid-argument' });
  await assert.rejects(session.fillMask('a [MASK]', { top_k: 0 }), { code: 'invalid-options', message: /top_k must be a whole number of at least 1, found 0/ });
});

test('one mask is filled as transformers.js does, several together or each for itself', async () => {
  const session = await open();
  const one = await session.fillMask('a [MASK].', { top_k: 2 });
  assert.deepEqual(one[0], { score: 0.5, token: 0, token_str: 't0', sequence: 'a t0.', tokens: [0], token_strs: ['t0'] });
  assert.equal(one.length, 2);
  const list = await session.fillMask(['a [MASK].', 'b [MASK] [MASK]']);
  assert.deepEqual(list.map((fillings) => fillings.length), [5, 5]);
  assert.deepEqual(list[1][0].tokens, [0, 0]);
  const apart = await session.fillMask('b [MASK] [MASK]', { joint: false });
  assert.deepEqual(apart.map((fillings) => fillings.length), [5, 5]);
  await assert.rejects(session.fillMask(['a [MASK]', 'a secret']), { code: 'no-mask', message: 'Mask token ([MASK]) not found in text.' });
});

test('a cancelled call stops between groups with the reason, and the session goes on', async () => {
  const session = await open();
  const cancel = new AbortController();
  const texts = Array.from({ length: 160 }, () => 'a');
  const cancelled = session.embed(texts, { pooling: 'mean', signal: cancel.signal, progress_callback: ({ done }) => done === 32 && cancel.abort() });
  const waiting = session.embed('abc', { pooling: 'mean' });
  await assert.rejects(cancelled, { name: 'AbortError' });
  assert.equal(calls.filter(({ texts }) => texts.length === 16).length, 2);
  assert.deepEqual((await waiting).tolist(), [[3, 97]]);
  await assert.rejects(session.embed('a', { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('after dispose the memory is given back, once, and calls say so', async () => {
  const session = await open();
  const before = model.disposed;
  const underWay = session.embed('abc', { pooling: 'mean' });
  await new Promise((resolve) => setTimeout(resolve));
  await session.dispose();
  await session.dispose();
  await underWay;
  await assert.rejects(session.embed('abc'), { code: 'disposed' });
  assert.equal(model.disposed - before, 1);
});

test('info tells what runs where', async () => {
  const info = await (await open()).info();
  assert.deepEqual([info.device, info.dtype, info.memory.wasm, info.maxLength], ['wasm', 'int8', 65536, 8]);
  assert.equal(info.storage, 'none');
  assert.equal(info.requests, 0);
});
