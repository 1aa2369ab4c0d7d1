/** A model under Node, on the one device that Node has. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Engine as Session } from 'clinicalbert';

const tiny = join(process.env.ENGINE_MODELS ?? '', 'tiny');
const files = (encoding) => (name) => readFile(join(tiny, encoding, name));

test('a model is loaded from files, and its vectors are the reference’s', async () => {
  for (const encoding of ['f32', 'f16']) {
    const seen = [];
    const session = await Session.load(files(encoding), { onProgress: ({ loaded, total }) => seen.push(loaded / total) });
    const expected = JSON.parse(await readFile(join(tiny, encoding, 'expected.json'), 'utf8'));
    const { data, dims, windows } = await session.embed(expected.texts);
    assert.deepEqual(dims, [expected.texts.length, 32]);
    assert.ok(windows[2] > 1 && windows[0] === 1);
    expected.vectors.flat().forEach((value, at) => assert.ok(Math.abs(data[at] - value) < 1e-4));
    assert.deepEqual([session.info.device, session.info.encoding, session.info.isCased], ['wasm', encoding, true]);
    assert.ok(seen.length > 2 && seen.at(-1) === 1);
    await session.dispose();
  }
});

test('options choose pooling, layer and length', async () => {
  const session = await Session.load(files('f32'));
  const vector = async (options) => [...(await session.embed('aa ab ac', options)).data];
  const last = await vector();
  assert.deepEqual(await vector({ layer: 2 }), last);
  assert.deepEqual(await vector({ layer: -1 }), last);
  assert.notDeepEqual(await vector({ layer: 1 }), last);
  assert.notDeepEqual(await vector({ pooling: 'cls' }), last);
  const length = (await vector({ normalize: true })).reduce((sum, value) => sum + value ** 2, 0);
  assert.ok(Math.abs(length - 1) < 1e-5);
  assert.equal((await session.embed('aa '.repeat(50), { window: 12, overlap: 0 })).windows[0], 5);
  await session.dispose();
});

test('masks are filled each for itself or together', async () => {
  const session = await Session.load(files('f32'));
  const filled = await session.fillMask('aa [MASK] ab [MASK]', { topK: 3 });
  assert.deepEqual(filled.map((tokens) => tokens.length), [3, 3]);
  assert.ok(filled[0][0].score >= filled[0][1].score);
  assert.equal(filled[1][0].sequence, `aa [MASK] ab ${filled[1][0].token_str}`);
  const [best] = await session.fillMaskJointly('aa [MASK] ab [MASK]');
  assert.equal(best.tokens.length, 2);
  assert.ok(!best.sequence.includes('[MASK]'));
  await session.dispose();
});

test('calls at once are done one after the other, and disposal waits for them', async () => {
  const session = await Session.load(files('f32'));
  const calls = ['aa', 'ab', 'ac'].map((text) => session.embed(text));
  const disposed = session.dispose();
  const vectors = await Promise.allSettled(calls);
  await disposed;
  assert.deepEqual(vectors.map(({ status }) => status), ['fulfilled', 'fulfilled', 'fulfilled']);
  assert.throws(() => session.memory(), { code: 'disposed' });
});

test('sessions share no memory: one can be damaged or disposed of without the other', async () => {
  const [one, other] = await Promise.all([Session.load(files('f32')), Session.load(files('int8'))]);
  const before = (await other.embed('aa')).data;
  await one.dispose();
  assert.deepEqual((await other.embed('aa')).data, before);
  assert.deepEqual(other.tokenize('aa ab').map(({ token, start }) => [token, start]), [['aa', 0], ['ab', 3]]);
  await other.dispose();
});
