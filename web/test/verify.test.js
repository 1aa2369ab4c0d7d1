/** A GPU that is believed only if the processor agrees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalHost } from '../dist/session/local.js';
import { localSource, platform } from '../dist/weights/source.js';
import { makeEngine, makeModel } from './support/model.js';

const files = makeModel([1000]);

/** A model whose vectors are off by `error`. */
function makeDevice(device, error) {
  const vector = (text) => [text.length, 1 + error * text.length];
  const made = {
    disposed: 0,
    info: { device, encoding: 'int8', config: { hidden_size: 2 } },
    memory: () => ({ weights: 1000, wasm: 0, gpu: 0 }),
    embed: async (texts) => ({ data: Float32Array.from(texts.flatMap(vector)), tokens: [], windows: [] }),
    dispose: async () => (made.disposed += 1),
  };
  return made;
}

/** Loads with a GPU that errs by `error`; `device` is what is asked for. */
async function load(error, settings, { noRoom = false } = {}) {
  platform.openFolder = () => localSource('memory', async (file) => new Blob([files.get(file)]));
  const [gpu, processor] = [makeDevice('webgpu', error), makeDevice('wasm', 0)];
  const asked = [];
  const engine = {
    load: async (open, options) => {
      asked.push(options.device);
      if (noRoom && options.device === 'wasm') throw Object.assign(new Error('full'), { code: 'out-of-memory' });
      return makeEngine(options.device === 'wasm' ? processor : gpu).load(open, options);
    },
  };
  const loading = new LocalHost(engine).call('load', ['memory', { device: 'auto', isOffline: false, ...settings }], {});
  const outcome = await loading.then((facts) => ({ facts }), (failed) => ({ failed }));
  return { ...outcome, asked, gpu, processor };
}

test('a GPU that answers as the processor does is used, and the processor’s copy is given back', async () => {
  const { facts, asked, gpu, processor } = await load(1e-5, { isVerified: true });
  assert.deepEqual(asked, ['auto', 'wasm']);
  assert.equal(facts.device, 'webgpu');
  assert.equal(facts.verified.passed, true);
  assert.ok(facts.verified.maxAbs > 1e-4 && facts.verified.maxAbs < 1e-2, facts.verified.maxAbs);
  assert.deepEqual([gpu.disposed, processor.disposed], [0, 1]);
});

for (const error of [0.5, NaN]) {
  test(`a GPU that is off by ${error} is replaced where any device will do, and refused where it was asked for`, async () => {
    const any = await load(error, { isVerified: true });
    assert.deepEqual([any.facts.device, any.facts.verified.passed], ['wasm', false]);
    assert.deepEqual([any.gpu.disposed, any.processor.disposed], [1, 0]);
    const { failed, gpu, processor } = await load(error, { device: 'webgpu', isVerified: true });
    assert.equal(failed.code, 'no-gpu');
    assert.match(failed.message, /computes this model wrongly/);
    assert.deepEqual([gpu.disposed, processor.disposed], [1, 1]);
  });
}

test('a processor that has no room for the model leaves nothing behind', async () => {
  const { failed, gpu } = await load(0, { isVerified: true }, { noRoom: true });
  assert.equal(failed.code, 'out-of-memory');
  assert.equal(gpu.disposed, 1);
});

test('unless it is asked for nothing is loaded twice', async () => {
  const { facts, asked } = await load(0.5, {});
  assert.deepEqual([asked, facts.device, facts.verified], [['auto'], 'webgpu', undefined]);
});
