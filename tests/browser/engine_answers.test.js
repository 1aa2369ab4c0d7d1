/** Vectors and scores in the browser equal the reference's: every device, encoding, batch and length. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from './engine.js';

/** What f32 arithmetic in another order may differ by, over twelve layers. */
const TOLERANCE = 1e-4;
/** With activations rounded to bytes too, on models whose weights mean nothing. */
const ROUNDED_COSINE = 0.99;

let engine, page;

before(async () => {
  engine = await start();
  page = await engine.open();
});
after(async () => {
  await engine?.stop();
});

const compare = (folder, options, most) =>
  page.evaluate(([folder, options, most]) => globalThis.compare(folder, options, most), [folder, options, most]);

function assertEqual(found, device) {
  assert.equal(found.device, device);
  for (const what of ['vectors', 'texts']) {
    assert.ok(found[what].maxAbs <= TOLERANCE, `${what}: max-abs ${found[what].maxAbs}, cosine ${found[what].cosine}`);
  }
  // Logarithms of probabilities: a score and a normalizer, each with its error.
  assert.ok(found.scores.maxAbs <= 2 * TOLERANCE, `scores: max-abs ${found.scores.maxAbs}`);
  assert.ok(found.firsts.every((same) => same));
  console.log(`${found.passes} passes, max-abs ${found.vectors.maxAbs.toExponential(1)}, scores ${found.scores.maxAbs.toExponential(1)}`);
}

// SwiftShader is slow: the long batches of the wide model stay with wasm.
for (const [model, most] of [['mini', 4096], ['base', 600]]) {
  for (const encoding of ['f32', 'f16', 'int8']) {
    test(`${model} in ${encoding} on WebGPU equals the reference`, async () => {
      assertEqual(await compare(`/models/${model}/${encoding}`, { device: 'webgpu' }, most), 'webgpu');
    });
  }
  for (const encoding of ['f32', 'f16']) {
    test(`${model} in ${encoding} in wasm equals the reference`, async () => {
      assertEqual(await compare(`/models/${model}/${encoding}`, { device: 'wasm' }), 'wasm');
    });
  }
  test(`${model} in int8 in wasm is near the reference`, async () => {
    const found = await compare(`/models/${model}/int8`, { device: 'wasm' });
    assert.equal(found.device, 'wasm');
    for (const what of ['vectors', 'texts']) assert.ok(found[what].cosine >= ROUNDED_COSINE, `${what}: cosine ${found[what].cosine}`);
    console.log(`cosine ${found.vectors.cosine.toFixed(5)}, max-abs ${found.vectors.maxAbs.toExponential(1)}`);
  });
}

test('auto tries both devices once, takes the faster, and remembers', async () => {
  const { first, second, kept } = await page.evaluate(async () => {
    const kept = new Map();
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
    const load = async () => {
      const session = await Session.load('/models/tiny/f32', { storage });
      await session.dispose();
      return session.info;
    };
    return { first: await load(), second: await load(), kept: [...kept] };
  });
  assert.ok(first.measured.wasm > 0 && first.measured.webgpu > 0);
  assert.equal(first.device, first.measured.webgpu < first.measured.wasm ? 'webgpu' : 'wasm');
  assert.deepEqual([second.device, second.measured], [first.device, first.measured]);
  assert.equal(kept.length, 1);
});
