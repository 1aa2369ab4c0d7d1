/** What goes wrong is an `Error` with a code, and what can go on goes on. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { start } from './engine.js';

let engine, page;

before(async () => {
  engine = await start();
});
after(async () => {
  await engine?.stop();
});
beforeEach(async () => {
  page = await engine.open();
});
afterEach(async () => {
  await page.close();
});

test('a GPU that computes wrongly is found out, and the right answer comes from wasm', async () => {
  const found = await page.evaluate(() => compare('/models/tiny/f32', { device: 'webgpu', testing: { broken: true } }));
  assert.equal(found.device, 'wasm');
  assert.equal(found.selfTest.passed, false);
  assert.ok(found.selfTest.maxAbs > 1e-3);
  assert.ok(found.vectors.maxAbs <= 1e-4);
});

test('files that are not as the manifest says are told apart', async () => {
  const codes = await page.evaluate(async () => {
    const tiny = '/models/tiny/f32';
    const third = (manifest) => manifest.shards[2].name;
    const { shards } = await (await fetch(`${tiny}/manifest.json`)).json();
    const onThird = (change) => changed(tiny, (name, bytes) => (name === shards[2].name ? change(bytes) : undefined));
    const load = (source) => codeOf(() => Session.load(source, { device: 'wasm' }));
    return {
      'another version': await load(withManifest(tiny, (manifest) => (manifest.version = 2))),
      'another format': await load(withManifest(tiny, (manifest) => (manifest.format = 'pwa'))),
      'a tensor that does not fit': await load(withManifest(tiny, (manifest) => (manifest.tensors[3].shape = [31]))),
      'an impossible model': await load(withManifest(tiny, (manifest) => (manifest.config.hidden_size = 31))),
      'a web page in place of the manifest': await load(changed(tiny, () => new TextEncoder().encode('<!doctype html>'))),
      'a flipped bit': await load(onThird((bytes) => bytes.with(100, bytes[100] ^ 4))),
      'a cut shard': await load(onThird((bytes) => bytes.subarray(1))),
      'a long shard': await load(onThird((bytes) => Uint8Array.of(...bytes, 0))),
      'an empty shard': await load(onThird(() => new Uint8Array())),
      'a missing shard': await load((name) => fetch(`${tiny}/${name === shards[2].name ? 'absent' : name}`)),
      'another vocabulary': await load(changed(tiny, (name) => (name === 'vocab.txt' ? new TextEncoder().encode('[PAD]\n') : undefined))),
      'a server that is not there': await load('http://127.0.0.1:1/'),
      'a folder that is not there': await load('/models/absent'),
      'a stream that breaks off': await load(
        onThird((bytes) => new ReadableStream({
          start: (stream) => stream.enqueue(bytes.subarray(0, 9)),
          pull: (stream) => stream.error(new TypeError('network error')),
        })),
      ),
    };
  });
  assert.deepEqual(codes, {
    'another version': 'manifest-version',
    'another format': 'weights',
    'a tensor that does not fit': 'tensor',
    'an impossible model': 'config',
    'a web page in place of the manifest': 'weights',
    'a flipped bit': 'file-hash',
    'a cut shard': 'file-size',
    'a long shard': 'file-size',
    'an empty shard': 'file-missing',
    'a missing shard': 'file-missing',
    'another vocabulary': 'file-size',
    'a server that is not there': 'fetch',
    'a folder that is not there': 'file-missing',
    'a stream that breaks off': 'fetch',
  });
});

test('inputs that the model cannot take are refused, and the session goes on', async () => {
  for (const device of ['wasm', 'webgpu']) {
    const { codes, before, after } = await page.evaluate(async (device) => {
      const session = await Session.load('/models/tiny/f32', { device });
      const vector = async () => [...(await session.embed('aa ab ac')).data];
      const before = await vector();
      const refused = (work) => codeOf(() => work(session));
      const codes = {
        'more than 512 ids': await refused((session) => session.embedIds([Array(513).fill(5)])),
        'an unknown id': await refused((session) => session.embedIds([[2, 600, 3]])),
        'no id': await refused((session) => session.embedIds([[2, 3], []])),
        'a negative id': await refused((session) => session.embedIds([[-1]])),
        'a text too long to fill': await refused((session) => session.fillMask(`${'aa '.repeat(600)}[MASK]`)),
        'no mask': await refused((session) => session.fillMask('aa ab')),
        'no number': await refused((session) => session.fillMask('[MASK]', { topK: 0 })),
        'a layer too many': await refused((session) => session.embed('aa', { layer: 3 })),
        'a window too long': await refused((session) => session.embed('aa', { window: 513 })),
        'an unknown pooling': await refused((session) => session.embed('aa', { pooling: 'median' })),
        'a misspelt option': await refused((session) => session.embed('aa', { poling: 'mean' })),
        'no string': await refused((session) => session.embed([42])),
      };
      const after = await vector();
      await session.dispose();
      codes['after dispose'] = await refused((session) => session.embed('aa'));
      return { codes, before, after };
    }, device);
    assert.deepEqual(after, before);
    assert.deepEqual(codes, {
      'more than 512 ids': 'batch',
      'an unknown id': 'batch',
      'no id': 'batch',
      'a negative id': 'batch',
      'a text too long to fill': 'text',
      'no mask': 'text',
      'no number': 'invalid-options',
      'a layer too many': 'invalid-options',
      'a window too long': 'invalid-options',
      'an unknown pooling': 'invalid-options',
      'a misspelt option': 'invalid-options',
      'no string': 'invalid-argument',
      'after dispose': 'disposed',
    });
  }
});

test('a model for which there is no room is refused before its weights are fetched', async () => {
  const { code, shards } = await page.evaluate(async () => {
    const tiny = '/models/tiny/f32';
    let shards = 0;
    const enormous = withManifest(tiny, (manifest) => {
      const rows = 1 << 24;
      manifest.config.vocab_size = rows;
      const added = (rows - 600) * 33 * 4;
      manifest.tensors[0].shape[0] = rows;
      const bias = manifest.tensors.find(({ names }) => names[0] === 'cls.predictions.bias');
      bias.shape[0] = rows;
      manifest.bytes += added;
      // As many as it takes of the largest that there may be.
      const [{ sha256 }] = manifest.shards;
      const most = 16 << 20;
      const count = Math.ceil(manifest.bytes / most);
      const bytes = (number) => Math.min(most, manifest.bytes - number * most);
      manifest.shards = Array.from({ length: count }, (_, number) => ({ name: `weights-${number}.bin`, bytes: bytes(number), sha256 }));
    });
    const counted = (source) => (name) => {
      shards += name.endsWith('.bin') ? 1 : 0;
      return source(name);
    };
    return { code: await codeOf(() => Session.load(counted(enormous), { device: 'wasm' })), shards };
  });
  assert.equal(code, 'out-of-memory');
  assert.equal(shards, 0);
});

test('a batch beyond what the GPU allows is refused, and a smaller one goes', async () => {
  const { device, code, same } = await page.evaluate(async () => {
    const session = await Session.load('/models/mini/f32', { device: 'webgpu', testing: { largestBinding: 1 << 19 } });
    const rows = Array.from({ length: 4 }, (_, row) => Array(128).fill(5 + row));
    const code = await codeOf(() => session.embedIds(rows));
    const { data } = await session.embedIds(rows, { batchSize: 1 });
    const alone = (await session.embedIds(rows.slice(3))).data;
    const same = alone.every((value, at) => value === data[3 * 256 + at]);
    await session.dispose();
    return { device: session.info.device, code, same };
  });
  assert.deepEqual([device, code, same], ['webgpu', 'limit', true]);
});

test('a GPU that is lost in the middle is told, and another session works', async () => {
  const { codes, again } = await page.evaluate(async () => {
    const devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...wishes) {
      devices.push(await request.apply(this, wishes));
      return devices.at(-1);
    };
    const session = await Session.load('/models/tiny/f32', { device: 'webgpu' });
    await session.embed('aa');
    const codes = [];
    // Lost while a call is under way, and before the next.
    const running = codeOf(() => session.embed(Array(40).fill('aa ab ac '.repeat(50)), { batchSize: 2 }));
    devices.at(-1).destroy();
    codes.push(await running, await codeOf(() => session.embed('aa')));
    await session.dispose();
    const again = await Session.load('/models/tiny/f32', { device: 'webgpu' });
    const { data } = await again.embed('aa');
    await again.dispose();
    return { codes, again: data.length };
  });
  assert.deepEqual(codes, ['device-lost', 'device-lost']);
  assert.equal(again, 32);
});

test('a load can be ended, and a browser without a GPU says so', async () => {
  const codes = await page.evaluate(async () => {
    const ended = new AbortController();
    const ending = codeOf(() =>
      Session.load('/models/mini/f32', { device: 'wasm', signal: ended.signal, onProgress: () => ended.abort() }),
    );
    const codes = [await ending];
    Object.defineProperty(navigator, 'gpu', { value: undefined });
    codes.push(await codeOf(() => Session.load('/models/tiny/f32', { device: 'webgpu' })));
    const session = await Session.load('/models/tiny/f32');
    codes.push(session.info.device);
    await session.dispose();
    return codes;
  });
  assert.deepEqual(codes, ['aborted', 'no-gpu', 'wasm']);
});
